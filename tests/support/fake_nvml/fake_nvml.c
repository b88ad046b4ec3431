/* A libnvidia-ml.so.1 without a driver: what pynvml asks is read from a text file, anew whenever that changes.

   The file is named by FAKE_NVML_STATE, else it is "state" beside this library. Lines are "key = value":
     count = 2                          GPUs; 0 when absent
     gpu0.name, .uuid, .bus             texts, handed over byte by byte
     gpu0.samples = 10 50 100           the driver's sample buffer, one value each 1/6 s; absent: NOT_FOUND
     gpu0.samples_end = 1000000         time stamp of the last of them in microseconds; "clock": now
     gpu0.utilisation, .memory_total, .memory_used, .temperature, .power_mw, .energy_mj    absent: NOT_SUPPORTED
     gpu0.processes = 71:1048576 72:-   pid:bytes of those that compute ("-": not available); pid:bytes:INSTANCE with MIG
     gpu0.graphics                      the same of those that draw
     gpu0.process_util = 71:50 72:0     pid:per cent; gpu0.process_util_at: their time stamp in microseconds
     gpu0.clock_sm, .throttle (a mask), .ecc, .recovery      absent: NOT_SUPPORTED
     gpu0.remapped = 0 1 0 0            corrected, uncorrected, pending, failed
     gpu0.mig = 1, gpu0.mig_max = 7     divided; part 0 is gpu0.mig0.uuid, .name, .memory_total, .memory_used, .instance
     driver = 550.54.15
     xid = 1:0:79 2:0:31                number:gpu:code; each number is delivered once
     error.FUNCTION = 9                 that function fails with this code
     gpu0.error = 15                    everything about this GPU fails, its handle too
     gpu0.error.FUNCTION = 3            one question about this GPU fails
     delay_ms, delay_ms.FUNCTION        answers come late
     hang.FUNCTION = 1                  never comes back, and can be killed
     block.FUNCTION = PATH              writes there, to the disk: on a frozen file system it waits in state D
     log = PATH                         each call is appended there: "FUNCTION" or "FUNCTION 0"          */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, TIMEOUT = 10, VERSION = 25 };
enum { GPUS = 64, PARTS = 8 };
typedef struct { int index; } device;   /* of part k of GPU i: i + GPUS * (k + 1) */
static device devices[GPUS * (PARTS + 1)];

static int find(const char *key, char *value, size_t size)
{
    char path[4096];
    const char *named = getenv("FAKE_NVML_STATE");
    Dl_info here;
    if (named) {
        snprintf(path, sizeof path, "%s", named);
    } else {
        if (!dladdr((void *)find, &here)) return 0;
        snprintf(path, sizeof path - 8, "%s", here.dli_fname);
        char *slash = strrchr(path, '/');
        strcpy(slash ? slash + 1 : path, "state");
    }
    struct stat now;
    static struct stat then;
    static char *held;
    if (stat(path, &now)) return 0;
    if (!held || now.st_ino != then.st_ino || now.st_mtim.tv_nsec != then.st_mtim.tv_nsec || now.st_size != then.st_size) {
        FILE *file = fopen(path, "r");
        if (!file) return 0;
        free(held);
        held = calloc(1, (size_t)now.st_size + 2);
        if (fread(held + 1, 1, (size_t)now.st_size, file)) held[0] = '\n';
        fclose(file);
        then = now;
    }
    char wanted[300];
    snprintf(wanted, sizeof wanted, "\n%s = ", key);
    const char *at = strstr(held, wanted), *more;
    if (!at) return 0;
    while ((more = strstr(at + 1, wanted))) at = more;
    at += strlen(wanted);
    size_t length = strcspn(at, "\n");
    if (length >= size) length = size - 1;
    memcpy(value, at, length);
    value[length] = 0;
    return 1;
}

static long long number(const char *key, long long otherwise)
{
    char value[64];
    return find(key, value, sizeof value) ? strtoll(value, NULL, 10) : otherwise;
}

static const char *keyed(char *key, size_t size, int gpu, const char *what, const char *function);

/* A time stamp in microseconds; "clock": now. */
static unsigned long long stamp(int gpu, const char *what)
{
    char key[64], value[64];
    struct timespec now;
    if (!find(keyed(key, sizeof key, gpu, what, NULL), value, sizeof value)) return 1000000000;
    if (strcmp(value, "clock")) return strtoull(value, NULL, 10);
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static const char *keyed(char *key, size_t size, int gpu, const char *what, const char *function)
{
    if (gpu < 0) snprintf(key, size, "%s.%s", what, function);
    else if (gpu < GPUS) snprintf(key, size, "gpu%d.%s%s%s", gpu, what, function ? "." : "", function ? function : "");
    else snprintf(key, size, "gpu%d.mig%d.%s", gpu % GPUS, gpu / GPUS - 1, what);
    return key;
}

/* What happens before any answer: it is logged, late, stuck, or an error. */
static int gate(const char *function, int gpu)
{
    char key[256], path[4096];
    if (find("log", path, sizeof path)) {
        FILE *log = fopen(path, "a");
        if (log) {
            if (gpu < 0) fprintf(log, "%s\n", function);
            else fprintf(log, "%s %d\n", function, gpu);
            fclose(log);
        }
    }
    unsigned late_ms = (unsigned)number(keyed(key, sizeof key, -1, "delay_ms", function), number("delay_ms", 0));
    if (late_ms) usleep(1000 * late_ms);
    while (number(keyed(key, sizeof key, -1, "hang", function), 0)) sleep(3600);
    if (find(keyed(key, sizeof key, -1, "block", function), path, sizeof path)) {
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd)) abort();
        close(fd);
    }
    int error = (int)number(keyed(key, sizeof key, -1, "error", function), OK);
    if (error || gpu < 0) return error;
    error = (int)number(keyed(key, sizeof key, gpu, "error", function), OK);
    return error ? error : (int)number(keyed(key, sizeof key, gpu, "error", NULL), OK);
}

static int text(const char *function, device *gpu, const char *what, char *out, unsigned size)
{
    char key[256];
    int error = gate(function, gpu->index);
    if (error) return error;
    return find(keyed(key, sizeof key, gpu->index, what, NULL), out, size) ? OK : NOT_SUPPORTED;
}

static int figure(const char *function, device *gpu, const char *what, long long *out)
{
    char key[256], value[64];
    int error = gate(function, gpu->index);
    if (error) return error;
    if (!find(keyed(key, sizeof key, gpu->index, what, NULL), value, sizeof value)) return NOT_SUPPORTED;
    *out = strtoll(value, NULL, 10);
    return OK;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return gate("nvmlInitWithFlags", -1); }
int nvmlShutdown(void) { return gate("nvmlShutdown", -1); }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "an injected error"; }

int nvmlDeviceGetCount_v2(unsigned *out)
{
    *out = (unsigned)number("count", 0);
    return gate("nvmlDeviceGetCount_v2", -1);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **out)
{
    char key[64];
    if (index >= GPUS || index >= (unsigned)number("count", 0)) return INVALID;
    int error = gate("nvmlDeviceGetHandleByIndex_v2", (int)index);
    if (error) return error;
    if ((error = (int)number(keyed(key, sizeof key, (int)index, "error", NULL), OK))) return error;
    devices[index].index = (int)index;
    *out = &devices[index];
    return OK;
}

int nvmlDeviceGetName(device *gpu, char *out, unsigned size) { return text("nvmlDeviceGetName", gpu, "name", out, size); }
int nvmlDeviceGetUUID(device *gpu, char *out, unsigned size) { return text("nvmlDeviceGetUUID", gpu, "uuid", out, size); }

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
int nvmlDeviceGetPciInfo_v3(device *gpu, struct pci *out)
{
    return text("nvmlDeviceGetPciInfo_v3", gpu, "bus", out->bus_id, sizeof out->bus_id);
}

struct sample { unsigned long long stamp; union { double d; unsigned u; unsigned long long q; } value; };
int nvmlDeviceGetSamples(device *gpu, int type, unsigned long long seen, int *kind, unsigned *count, struct sample *out)
{
    char key[64], list[4096];
    struct sample all[1024];
    unsigned found = 0;
    int error = gate("nvmlDeviceGetSamples", gpu->index);
    if (error) return error;
    if (type != 1) return NOT_SUPPORTED;
    if (!find(keyed(key, sizeof key, gpu->index, "samples", NULL), list, sizeof list)) return NOT_FOUND;
    for (char *at = strtok(list, " "); at && found < 1024; at = strtok(NULL, " "))
        all[found++].value.q = strtoull(at, NULL, 10);
    unsigned long long end = stamp(gpu->index, "samples_end");
    unsigned first = 0;
    for (unsigned i = 0; i < found; i++) all[i].stamp = end - 166667ULL * (found - 1 - i);
    while (first < found && all[first].stamp <= seen) first++;
    if (first == found) return NOT_FOUND;
    *kind = 1;
    if (!out) { *count = found - first; return OK; }
    if (*count < found - first) return TOO_SMALL;
    memcpy(out, all + first, (found - first) * sizeof *out);
    *count = found - first;
    return OK;
}

int nvmlDeviceGetUtilizationRates(device *gpu, unsigned out[2])
{
    long long value = 0;
    int error = figure("nvmlDeviceGetUtilizationRates", gpu, "utilisation", &value);
    out[0] = out[1] = (unsigned)value;
    return error;
}

static int memory(const char *function, device *gpu, unsigned long long *total, unsigned long long *used)
{
    char key[64];
    long long value = 0;
    int error = figure(function, gpu, "memory_total", &value);
    *total = (unsigned long long)value;
    *used = (unsigned long long)number(keyed(key, sizeof key, gpu->index, "memory_used", NULL), 0);
    return error;
}

struct memory1 { unsigned long long total, free, used; };
int nvmlDeviceGetMemoryInfo(device *gpu, struct memory1 *out)
{
    return memory("nvmlDeviceGetMemoryInfo", gpu, &out->total, &out->used);
}

struct memory2 { unsigned version; unsigned long long total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(device *gpu, struct memory2 *out)
{
    return out->version == 0x02000028 ? memory("nvmlDeviceGetMemoryInfo_v2", gpu, &out->total, &out->used) : VERSION;
}

struct temperature { unsigned version; int sensor; int celsius; };
int nvmlDeviceGetTemperatureV(device *gpu, struct temperature *out)
{
    long long value = 0;
    if (out->version != 0x100000C || out->sensor) return VERSION;
    int error = figure("nvmlDeviceGetTemperatureV", gpu, "temperature", &value);
    out->celsius = (int)value;
    return error;
}

static int word(const char *function, device *gpu, const char *what, unsigned *out)
{
    long long value = 0;
    int error = figure(function, gpu, what, &value);
    *out = (unsigned)value;
    return error;
}

int nvmlDeviceGetTemperature(device *gpu, int sensor, unsigned *out)
{
    return sensor ? INVALID : word("nvmlDeviceGetTemperature", gpu, "temperature", out);
}

int nvmlDeviceGetPowerUsage(device *gpu, unsigned *out) { return word("nvmlDeviceGetPowerUsage", gpu, "power_mw", out); }

int nvmlDeviceGetTotalEnergyConsumption(device *gpu, unsigned long long *out)
{
    long long value = 0;
    int error = figure("nvmlDeviceGetTotalEnergyConsumption", gpu, "energy_mj", &value);
    *out = (unsigned long long)value;
    return error;
}

int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    int error = gate("nvmlSystemGetDriverVersion", -1);
    return error ? error : find("driver", out, size) ? OK : NOT_SUPPORTED;
}

struct process { unsigned pid; unsigned long long memory; unsigned instance, compute; };
static int processes(const char *function, device *gpu, const char *what, unsigned *count, struct process *out)
{
    char key[64], list[8192] = "", *rest;
    struct process all[512];
    unsigned found = 0;
    int error = gate(function, gpu->index);
    if (error) return error;
    find(keyed(key, sizeof key, gpu->index, what, NULL), list, sizeof list);
    for (char *at = strtok_r(list, " ", &rest); at && found < 512; at = strtok_r(NULL, " ", &rest)) {
        struct process one = { 0, ~0ULL, ~0u, ~0u };
        one.pid = (unsigned)strtoul(at, &at, 10);
        if (*at == ':' && at[1] != '-') one.memory = strtoull(at + 1, &at, 10);
        else if (*at == ':') at += 2;
        if (*at == ':') one.instance = (unsigned)strtoul(at + 1, &at, 10);
        all[found++] = one;
    }
    unsigned room = *count;
    *count = found;
    if (!found) return OK;
    if (!out || room < found) return TOO_SMALL;
    memcpy(out, all, found * sizeof *out);
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device *gpu, unsigned *count, struct process *out)
{
    return processes("nvmlDeviceGetComputeRunningProcesses_v3", gpu, "processes", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device *gpu, unsigned *count, struct process *out)
{
    return processes("nvmlDeviceGetGraphicsRunningProcesses_v3", gpu, "graphics", count, out);
}

struct use { unsigned pid; unsigned long long stamp; unsigned sm, memory, encoder, decoder; };
int nvmlDeviceGetProcessUtilization(device *gpu, struct use *out, unsigned *count, unsigned long long seen)
{
    char key[64], list[8192], *rest;
    unsigned found = 0, room = *count;
    int error = gate("nvmlDeviceGetProcessUtilization", gpu->index);
    if (error) return error;
    if (!find(keyed(key, sizeof key, gpu->index, "process_util", NULL), list, sizeof list)) return NOT_SUPPORTED;
    unsigned long long at = stamp(gpu->index, "process_util_at");
    if (at <= seen) return NOT_FOUND;
    for (char *each = strtok_r(list, " ", &rest); each; each = strtok_r(NULL, " ", &rest), found++) {
        if (!out || found >= room) continue;
        out[found] = (struct use){ (unsigned)strtoul(each, &each, 10), at, 0, 0, 0, 0 };
        if (*each == ':') out[found].sm = (unsigned)strtoul(each + 1, NULL, 10);
    }
    *count = found;
    return !found ? NOT_FOUND : !out || room < found ? TOO_SMALL : OK;
}

int nvmlDeviceGetClockInfo(device *gpu, int kind, unsigned *out)
{
    return kind == 1 ? word("nvmlDeviceGetClockInfo", gpu, "clock_sm", out) : INVALID;
}

static int mask(const char *function, device *gpu, unsigned long long *out)
{
    long long value = 0;
    int error = figure(function, gpu, "throttle", &value);
    *out = (unsigned long long)value;
    return error;
}

int nvmlDeviceGetCurrentClocksEventReasons(device *gpu, unsigned long long *out)
{
    return mask("nvmlDeviceGetCurrentClocksEventReasons", gpu, out);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(device *gpu, unsigned long long *out)
{
    return mask("nvmlDeviceGetCurrentClocksThrottleReasons", gpu, out);
}

int nvmlDeviceGetTotalEccErrors(device *gpu, int kind, int counter, unsigned long long *out)
{
    long long value = 0;
    if (kind != 1 || counter != 0) return INVALID;
    int error = figure("nvmlDeviceGetTotalEccErrors", gpu, "ecc", &value);
    *out = (unsigned long long)value;
    return error;
}

int nvmlDeviceGetRemappedRows(device *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
    char list[64];
    int error = text("nvmlDeviceGetRemappedRows", gpu, "remapped", list, sizeof list);
    if (error) return error;
    return sscanf(list, "%u %u %u %u", corrected, uncorrected, pending, failed) == 4 ? OK : 999;
}

struct field { unsigned id, scope; long long stamp, latency; int kind, result; union { unsigned u; unsigned long long q; } value; };
int nvmlDeviceGetFieldValues(device *gpu, int count, struct field *out)
{
    int error = gate("nvmlDeviceGetFieldValues", gpu->index);
    for (int i = 0; i < count && !error; i++) {
        char key[64];
        long long value = number(keyed(key, sizeof key, gpu->index, "recovery", NULL), -1);
        out[i].result = out[i].id == 230 && value >= 0 ? OK : NOT_SUPPORTED;
        out[i].kind = 1;
        out[i].value.q = (unsigned long long)value;
    }
    return error;
}

int nvmlDeviceGetMigMode(device *gpu, unsigned *current, unsigned *pending)
{
    int error = word("nvmlDeviceGetMigMode", gpu, "mig", current);
    *pending = *current;
    return error;
}

int nvmlDeviceGetMaxMigDeviceCount(device *gpu, unsigned *out) { return word("nvmlDeviceGetMaxMigDeviceCount", gpu, "mig_max", out); }
int nvmlDeviceGetGpuInstanceId(device *gpu, unsigned *out) { return word("nvmlDeviceGetGpuInstanceId", gpu, "instance", out); }

int nvmlDeviceGetMigDeviceHandleByIndex(device *gpu, unsigned part, device **out)
{
    char key[64], uuid[96];
    int error = gate("nvmlDeviceGetMigDeviceHandleByIndex", gpu->index);
    if (error) return error;
    int index = gpu->index + GPUS * ((int)part + 1);
    if (part >= PARTS || !find(keyed(key, sizeof key, index, "uuid", NULL), uuid, sizeof uuid)) return NOT_FOUND;
    devices[index].index = index;
    *out = &devices[index];
    return OK;
}

struct event { device *gpu; unsigned long long kind, data; unsigned instance, compute; };
static int event_set;
static long long delivered;
int nvmlEventSetCreate(int **out) { *out = &event_set; return gate("nvmlEventSetCreate", -1); }
int nvmlEventSetFree(int *set) { (void)set; return gate("nvmlEventSetFree", -1); }
int nvmlDeviceRegisterEvents(device *gpu, unsigned long long kinds, int *set)
{
    (void)set;
    return kinds == 8 ? gate("nvmlDeviceRegisterEvents", gpu->index) : INVALID;
}

int nvmlEventSetWait_v2(int *set, struct event *out, unsigned timeout_ms)
{
    char list[1024] = "", *rest;
    int error = gate("nvmlEventSetWait_v2", -1);
    (void)set;
    if (error) return error;
    find("xid", list, sizeof list);
    for (char *each = strtok_r(list, " ", &rest); each; each = strtok_r(NULL, " ", &rest)) {
        long long order, code;
        int gpu;
        if (sscanf(each, "%lld:%d:%lld", &order, &gpu, &code) != 3 || order <= delivered) continue;
        delivered = order;
        *out = (struct event){ &devices[gpu], 8, (unsigned long long)code, ~0u, ~0u };
        return OK;
    }
    usleep(1000 * timeout_ms);
    return TIMEOUT;
}
