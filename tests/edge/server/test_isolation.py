"""Which configuration counts: the generated one, the directory that the settings name, and no other."""

from __future__ import annotations

from jupyter_server.auth.security import passwd

from jupyterd.planner import jupyter_config

TOKEN = "a-lasting-token-0123456789"


def _write(served, path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    served.own(served.home)


def test_the_users_own_configuration_changes_nothing(prepare):
    served = prepare(login={"token": TOKEN})
    own = served.home / ".jupyter"
    _write(served, own / "jupyter_server_config.py", "c.ServerApp.base_url = '/else/'\nc.ServerApp.port = 1234\n")
    _write(served, own / "jupyter_notebook_config.py", "this is no python\n")
    _write(served, own / "jupyter_config.json", "{no json")
    _write(served, served.home / ".ipython/profile_default/ipython_notebook_config.py", "c.NotebookApp.port = 1\n")
    served.start()
    assert served.browser().get("/api").status == 200
    assert not (own / "migrated").exists()


def test_what_somebody_puts_into_jupyters_own_directory_changes_nothing(prepare):
    served = prepare(login={"token": TOKEN})
    served.write()
    own = served.paths.jupyter_config
    _write(served, own / "jupyter_server_config.py", "c.ServerApp.base_url = '/else/'\n")
    _write(served, own / "jupyter_server_config.json", '{"ServerApp": {"disable_check_xsrf": true}}')
    _write(served, own / "jupyter_config.py", "c.ServerApp.allow_origin = '*'\n")
    _write(served, own / "jupyter_notebook_config.py", "this is no python\n")
    enabled = '{"ServerApp": {"jpserver_extensions": {"nothing_of_the_kind": true}}}'
    _write(served, own / "jupyter_server_config.d/x.json", enabled)
    served.start()
    browser = served.browser()
    assert browser.get("/api").status == 200
    assert "Access-Control-Allow-Origin" not in browser.get("/api").headers
    assert "nothing_of_the_kind" not in served.output()
    told = [each.name for each in jupyter_config.foreign(own)]
    assert told == [
        "jupyter_config.py", "jupyter_notebook_config.py", "jupyter_server_config.d", "jupyter_server_config.json",
        "jupyter_server_config.py",
    ]  # fmt: skip


def test_the_directory_that_the_settings_name_is_read(prepare):
    served = prepare(login={"token": TOKEN})
    own = served.home / "mine"
    served = prepare(login={"token": TOKEN}, server={"jupyter_config_dir": str(own)})
    _write(served, own / "jupyter_server_config.py", "c.ServerApp.tornado_settings = {'headers': {'X-Mine': 'yes'}}\n")
    _write(served, own / "jupyter_notebook_config.json", '{"JupyterNotebookApp": {"custom_css": false}}')
    served.start()
    assert served.browser().get("/api").headers["X-Mine"] == "yes"
    page = served.browser().get("/tree", Authorization=f"token {TOKEN}")
    assert "custom.css" not in page.text


def test_what_jupyterd_decides_stays(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    _write(
        served, own / "jupyter_server_config.py",
        "c.ServerApp.base_url = '/else/'\nc.ServerApp.port = 1234\nc.ServerApp.ip = '0.0.0.0'\n"
        "c.ServerApp.certfile = '/nowhere.pem'\nc.ServerApp.open_browser = True\n",
    )  # fmt: skip
    served.start()
    assert served.browser().get("/api").status == 200
    assert "base_url = '/else/' in" in served.output()


def test_a_syntax_error_there_is_told_with_file_and_line(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    _write(served, own / "jupyter_server_config.py", "c.ServerApp.x = 1\nc = = 2\n")
    served.start(wait=False)
    problem = served.failed()
    assert problem.startswith(f"{own}/jupyter_server_config.py:2: invalid syntax")
    assert served.process.wait(10) == 1


def test_a_json_error_there_is_told_with_file_and_line(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    _write(served, own / "jupyter_notebook_config.json", '{"ServerApp":\n {,}}')
    served.start(wait=False)
    assert served.failed().startswith(f"{own}/jupyter_notebook_config.json:2: ")


def test_an_error_while_it_runs_is_told_with_file_and_line(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    _write(served, own / "jupyter_server_config.py", "\n\nimport nothing_of_the_kind\n")
    served.start(wait=False)
    assert served.failed() == (
        f"{own}/jupyter_server_config.py:3: ModuleNotFoundError: No module named 'nothing_of_the_kind'"
    )


def test_a_setting_of_the_wrong_type_is_told(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    _write(served, own / "jupyter_server_config.py", "c.ServerApp.max_body_size = 'much'\n")
    served.start(wait=False)
    problem = served.failed()
    assert "max_body_size" in problem
    assert str(own) in problem


def test_a_missing_root_directory_is_told(prepare):
    served = prepare(server={"root_dir": "/nowhere/at/all"})
    served.start(wait=False)
    problem = served.failed()
    assert "/nowhere/at/all" in problem


def test_a_password_and_token_of_the_users_own_configuration_count(prepare):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    hashed = passwd("of my own")
    text = f"c.PasswordIdentityProvider.hashed_password = {hashed!r}\nc.IdentityProvider.token = {TOKEN!r}\n"
    _write(served, own / "jupyter_server_config.py", text)
    served.start()
    assert served.browser().login("of my own").status == 302
    assert served.browser().get("/api/contents", Authorization=f"token {TOKEN}").status == 200
    assert TOKEN not in served.output()
