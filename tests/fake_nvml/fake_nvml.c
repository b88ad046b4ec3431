/* A libnvidia-ml.so.1 without a driver: what pynvml asks is read from a text file, anew at each call.

   The file is named by FAKE_NVML_STATE, else it is "state" beside this library. Lines are "key = value":
     count = 2                          GPUs; 0 when absent
     gpu0.name, .uuid, .bus             texts, handed over byte by byte
     gpu0.samples = 10 50 100           the driver's sample buffer, one value each 1/6 s; absent: NOT_FOUND
     gpu0.samples_end = 1000000         time stamp of the last of them in microseconds
     gpu0.utilisation, .memory_total, .memory_used, .temperature, .power_mw, .energy_mj    absent: NOT_SUPPORTED
     error.FUNCTION = 9                 that function fails with this code
     gpu0.error = 15                    everything about this GPU fails, its handle too
     gpu0.error.FUNCTION = 3            one question about this GPU fails
     delay_ms, delay_ms.FUNCTION        answers come late
     hang.FUNCTION = 1                  never comes back
     log = PATH                         each call is appended there: "FUNCTION" or "FUNCTION 0"          */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, VERSION = 25 };
typedef struct { int index; } device;
static device devices[64];

static int find(const char *key, char *value, size_t size)
{
    char path[4096], line[8192];
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
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int found = 0;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) || strncmp(line + length, " = ", 3)) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(value, size, "%s", line + length + 3);
        found = 1;
    }
    fclose(file);
    return found;
}

static long long number(const char *key, long long otherwise)
{
    char value[64];
    return find(key, value, sizeof value) ? strtoll(value, NULL, 10) : otherwise;
}

static const char *keyed(char *key, size_t size, int gpu, const char *what, const char *function)
{
    if (gpu < 0) snprintf(key, size, "%s.%s", what, function);
    else snprintf(key, size, "gpu%d.%s%s%s", gpu, what, function ? "." : "", function ? function : "");
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
    usleep(1000 * (unsigned)number(keyed(key, sizeof key, -1, "delay_ms", function), number("delay_ms", 0)));
    while (number(keyed(key, sizeof key, -1, "hang", function), 0)) sleep(3600);
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
    if (index >= 64 || index >= (unsigned)number("count", 0)) return INVALID;
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
    unsigned long long end = (unsigned long long)number(keyed(key, sizeof key, gpu->index, "samples_end", NULL), 1000000000);
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
