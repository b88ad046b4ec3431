"""Composes the plan from the settings, checks of the machine, the certificate and the configuration for Jupyter.

`jupyterd run` calls it before it becomes the supervisor; for every further plan the supervisor starts
`python -m jupyterd.planner`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import attrs

from jupyterd import __version__
from jupyterd.gpu import arguments as gpu
from jupyterd.gpu import driver
from jupyterd.launch import sampler_process, sampler_relay
from jupyterd.linux.accounts import Account
from jupyterd.planner import addresses, certificate, checks, jupyter_command, jupyter_config
from jupyterd.protocol.plan import Certificate, Command, Plan, Refused, Trouble
from jupyterd.protocol.policy import Policy
from jupyterd.settings import load, options
from jupyterd.settings import paths as places
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Invalid
from jupyterd.settings.schema import Settings

CWD = "JUPYTERD_CWD"
"""Environment variable: the directory in which `jupyterd run` was typed; relative paths in its options start there."""


@attrs.frozen
class Ask:
    """What a plan is made from: the options as typed (for the next planner), the environment, the paths."""

    typed: tuple[str, ...]
    sources: load.Sources
    environ: Mapping[str, str]
    paths: Paths
    account: Account


def ask(args: argparse.Namespace, environ: Mapping[str, str], typed: Sequence[str]) -> Ask:
    """From the parsed options and the options as typed. Raises Invalid if the options are wrong."""
    uid = os.getuid()
    paths = places.discover(environ, uid, places.mode_of(environ))
    sources = load.sources(paths.mode, args.config, environ, options.overrides(args))
    return Ask(tuple(typed), sources, environ, paths, sources.account)


def make_plan(asked: Ask, *, write: bool, at_start: bool = False) -> Plan | Refused:
    """The plan, or every problem at once. With `write`, also write the files that the server reads; where the disk
    does not take them there is nothing to serve `at_start`, and later the settings in force stay.
    """
    try:
        loaded = load.load(asked.sources)
    except Invalid as error:
        further = _further(error, asked)
        return Refused((*map(str, error.problems), *further.problems), further.waiting, further.warnings)
    settings, paths = loaded.settings, asked.paths
    checked = checks.check(settings, loaded.origins, paths, asked.account)
    machine = addresses.look(settings.server)
    problems = [str(each) for each in checked.problems]
    waiting, warnings = [*checked.waiting], [*checked.warnings]
    chosen = certificate.Chosen()
    if settings.tls.enabled and (settings.tls.certificate or not problems):
        chosen = certificate.choose(settings, loaded.origins, paths, machine, write=write)
        problems += chosen.problems
        waiting += chosen.waiting
        warnings += chosen.warnings
    if problems:
        return Refused(tuple(problems), tuple(waiting), tuple(warnings))
    names, _ = addresses.certificate_names(settings.server, machine)
    served = chosen.certificate
    traits = jupyter_config.generate(settings, paths)
    live = jupyter_config.live(settings, chosen.files, (*names, *(served.names if served else ())))
    made = _assemble(asked, settings, machine, served, traits, live)
    if write and (trouble := _written(paths, chosen, traits, live)) is not None:
        if not at_start:
            return Refused((f"{trouble.text}; {trouble.advice}",))
        waiting.append(trouble)
    warnings += checks.set_aside(paths)
    return replace(made, waiting=tuple(waiting), warnings=tuple(warnings))


def _written(
    paths: Paths, chosen: certificate.Chosen, traits: jupyter_config.Traits, live: dict[str, Any]
) -> Trouble | None:
    """Write the files that the server reads; why that is not possible at present, or None."""
    try:
        certificate.keep(chosen, paths)
        jupyter_config.write(paths, traits, live)
    except OSError as error:
        return checks.unwritable(error, paths)
    return None


def _further(error: Invalid, asked: Ask) -> Refused:
    """What this machine says to the valid ones of the settings, so that the user sees everything at once."""
    if error.known is None:
        return Refused(())
    settings, origins = error.known.settings, error.known.origins
    checked = checks.check_known(error.known, asked.paths, asked.account)
    problems, waiting, warnings = [*map(str, checked.problems)], [*checked.waiting], [*checked.warnings]
    doubtful = error.known.doubtful.intersection(("tls.enabled", "tls.certificate", "tls.key"))
    if settings.tls.enabled and settings.tls.certificate and not doubtful:
        chosen = certificate.of_settings(settings, origins, asked.paths, write=False)
        problems += chosen.problems
        waiting += chosen.waiting
        warnings += chosen.warnings
    return Refused(tuple(problems), tuple(waiting), tuple(warnings))


def _assemble(  # noqa: PLR0913, PLR0917 - the parts of a plan
    asked: Ask, settings: Settings, machine: addresses.Interfaces, served: Certificate | None,
    traits: jupyter_config.Traits, live: dict[str, Any],
) -> Plan:  # fmt: skip
    paths, environ = asked.paths, asked.environ
    listen = addresses.listeners(settings.server, machine)
    targets = addresses.targets(listen, machine)
    scheme = "https" if settings.tls.enabled else "http"
    urls = addresses.urls(targets, listen, machine, settings.server, scheme)
    server = jupyter_command.server(settings, paths, asked.account, environ)
    server_key, live_key = jupyter_config.keys(traits, server, live)
    absence = driver.absence("/", environ) if settings.gpu.enabled else None
    return Plan(
        version=__version__,
        account=asked.account.name,
        mode=paths.mode,
        state_dir=str(paths.state),
        runtime_dir=str(paths.runtime),
        listen=listen,
        targets=targets,
        urls=tuple(url for url, _ in urls),
        proofs=tuple(proofs for _, proofs in urls),
        present=machine.present,
        base_url=settings.server.base_url,
        certificate=served,
        server=server,
        server_key=server_key,
        live_key=live_key,
        sampler=_sampler(settings, paths, environ),
        planner=_program(asked, "jupyterd.planner", *asked.typed),
        ender=_ender(asked, settings),
        culler=_culler(asked, settings),
        policy=_policy(settings),
        notes=() if absence is None else (absence,),
    )


def _sampler(settings: Settings, paths: Paths, environ: Mapping[str, str]) -> Command | None:
    """The relay, which the supervisor starts to get GPU frames: the sampler itself may hang in the driver."""
    sampler = gpu.arguments(settings, paths, environ, sampler_process.places(paths))
    if sampler is None:
        return None
    argv = sampler_relay.argv(sampler, as_unit=paths.mode != "foreground")
    return Command(argv, gpu.environment(environ), str(paths.runtime))


def _program(asked: Ask, module: str, *arguments: str) -> Command:
    """A program of this package, with the environment that jupyterd was started with, which may contain settings."""
    private = (CWD, "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "JOURNAL_STREAM", "INVOCATION_ID")
    env = tuple((name, value) for name, value in sorted(asked.environ.items()) if not name.startswith(private))
    # The supervisor enters no directory that may be on a network disk, so the program itself resolves relative paths.
    env = (*env, (CWD, str(asked.sources.cwd)))
    return Command((sys.executable, "-I", "-m", module, *arguments), env, "/")


def _ender(asked: Ask, settings: Settings) -> Command:
    """In the foreground no systemd can be restarting jupyterd: Ctrl-C ends the kernels too."""
    only_a_stop = () if asked.paths.mode == "foreground" else ("--unless-restarting",)
    where = ("--state", str(asked.paths.state), "--grace", f"{settings.kernels.grace_s:g}")
    return _program(asked, "jupyterd", "kernels", "stop", "--all", "--terminals", "--sampler", *only_a_stop, *where)


def _culler(asked: Ask, settings: Settings) -> Command:
    where = ("--state", str(asked.paths.state), "--grace", f"{settings.kernels.grace_s:g}")
    return _program(asked, "jupyterd", "kernels", "stop", *where)


def _policy(settings: Settings) -> Policy:
    return Policy(
        start_timeout_s=settings.supervision.start_timeout_s,
        stop_timeout_s=settings.supervision.stop_timeout_s,
        kernels_grace_s=settings.kernels.grace_s,
        probe_every_s=settings.supervision.probe_every_s,
        spare=settings.supervision.spare,
        hang_after_s=settings.supervision.hang_after_s,
        gpu_silence_s=gpu.silence_s(settings),
        gpu_log_every_s=settings.gpu.log_every_s,
        gpu_idle_log_every_s=settings.gpu.idle_log_every_s,
        cull=settings.gpu_cull.enabled,
        cull_dry_run=settings.gpu_cull.dry_run,
        cull_memory_bytes=round(settings.gpu_cull.memory_gib * (1 << 30)),
        cull_idle_s=settings.gpu_cull.idle_s,
        cull_warning_s=settings.gpu_cull.warning_s,
    )
