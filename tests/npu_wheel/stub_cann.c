/* A stub of CANN, Huawei's runtime for Ascend devices: what torch_npu needs to import, allocate, copy and launch.
 *
 * Memory is host memory and copies are real. An asynchronous copy from or to pinned memory is put off until something
 * waits for its stream, as on a device, so that a forgotten synchronisation is seen. Kernels are functions that return
 * success and write nothing: see SUCCEEDS at the end.
 *
 * Signatures and numbers are those of CANN's acl/acl_rt.h and acl/acl_base_rt.h.
 * Environment, read once: STUB_CANN_DEVICES (how many there are), STUB_CANN_FAIL ("name=code", of one function).
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_DEVICE = 107001, NO_CONTEXT = 107002, OUT_OF_MEMORY = 207001 };
enum { ALIGNMENT = 512, MAX_DEVICES = 8 };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int devices, context[MAX_DEVICES];
static size_t memory = (size_t)8 << 30, used[MAX_DEVICES];
static __thread int current = -1;

/* --- what was called, and what is to fail: for the tests, which load this library with ctypes */

static char calls[1 << 20], fail_name[128];
static size_t calls_length;
static int fail_code;

const char *stub_calls(void) { return calls; }

void stub_forget(void) { calls[calls_length = 0] = 0; }

void stub_fail(const char *name, int code) {
    snprintf(fail_name, sizeof fail_name, "%s", name);
    fail_code = code;
}

void stub_memory(size_t size) { memory = size; }

/* Note a call with its arguments, one a line, and return the code that the function is to return. */
static int called(const char *name, const char *format, ...) {
    char text[160] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    size_t room = sizeof calls - calls_length;
    size_t length = strlen(name) + strlen(text) + 2;
    if (length < room)
        calls_length += snprintf(calls + calls_length, room, "%s%s%s\n", name, *text ? " " : "", text);
    int code = strcmp(name, fail_name) ? SUCCESS : fail_code;
    pthread_mutex_unlock(&lock);
    return code;
}

#define CALLED(...)                                \
    do {                                           \
        int code = called(__func__, __VA_ARGS__); \
        if (code) return code;                     \
    } while (0)

__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("STUB_CANN_DEVICES");
    devices = text ? atoi(text) : 0;
    if ((text = getenv("STUB_CANN_FAIL"))) sscanf(text, "%127[^=]=%d", fail_name, &fail_code);
}

/* --- devices */

int aclrtGetDeviceCount(uint32_t *count) {
    CALLED("");
    *count = devices;
    return SUCCESS;
}

int aclrtSetDevice(int device) {
    CALLED("%d", device);
    if (device < 0 || device >= devices) return INVALID_DEVICE;
    current = device;
    return SUCCESS;
}

int aclrtGetDevice(int *device) {
    *device = current;
    return current < 0 ? NO_CONTEXT : SUCCESS;
}

int aclrtGetCurrentContext(void **handle) {
    if (current < 0) return NO_CONTEXT;
    *handle = &context[current];
    return SUCCESS;
}

int aclrtSetCurrentContext(void *handle) {
    current = (int)((int *)handle - context);
    return SUCCESS;
}

int aclrtGetPrimaryCtxState(int device, uint32_t *flags, int *active) {
    (void)device;
    if (flags) *flags = 0;
    *active = 1;
    return SUCCESS;
}

int aclrtGetDeviceInfo(uint32_t device, int attribute, int64_t *value) {
    (void)device, (void)attribute;
    *value = 0;
    return SUCCESS;
}

const char *aclrtGetSocName(void) { return "Ascend910B3"; }

const char *aclGetRecentErrMsg(void) { return "the stub of CANN was told to fail"; }

/* aclCANNPackageVersion begins with the version as text. */
int aclsysGetCANNVersion(int package, char *version) {
    (void)package;
    strcpy(version, "8.5.0");
    return SUCCESS;
}

/* --- memory: pinned memory of the host (device -1) and that of the devices, each block with this before it */

typedef struct Block {
    struct Block *next;
    size_t size;
    int device;
} Block;

static Block *blocks;

static int allocate(void **pointer, size_t size, int device) {
    Block *block;
    pthread_mutex_lock(&lock);
    int fits = device < 0 || used[device] + size <= memory;
    if (!fits || posix_memalign((void **)&block, ALIGNMENT, ALIGNMENT + size + ALIGNMENT)) {
        pthread_mutex_unlock(&lock);
        return OUT_OF_MEMORY;
    }
    if (device >= 0) used[device] += size;
    *block = (Block){blocks, size, device};
    blocks = block;
    *pointer = (char *)block + ALIGNMENT;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

static const Block *block_of(const void *pointer) {
    const Block *block = blocks;
    for (; block; block = block->next) {
        const char *start = (const char *)block + ALIGNMENT;
        if ((const char *)pointer >= start && (const char *)pointer < start + block->size) break;
    }
    return block;
}

static void finish(int device);

static int release(void *pointer) {
    pthread_mutex_lock(&lock);
    finish(-1);
    Block *block = (Block *)((char *)pointer - ALIGNMENT), **link = &blocks;
    while (*link != block) link = &(*link)->next;
    *link = block->next;
    if (block->device >= 0) used[block->device] -= block->size;
    free(block);
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

int aclrtMalloc(void **pointer, size_t size, int policy) {
    (void)policy;
    CALLED("%zu bytes on device %d", size, current);
    return current < 0 ? NO_CONTEXT : allocate(pointer, size, current);
}

int aclrtMallocAlign32(void **pointer, size_t size, int policy) { return aclrtMalloc(pointer, size, policy); }

int aclrtFree(void *pointer) {
    CALLED("");
    return release(pointer);
}

int aclrtMallocHost(void **pointer, size_t size) {
    *pointer = NULL;
    CALLED("%zu bytes", size);
    return allocate(pointer, size, -1);
}

int aclrtMallocHostWithCfg(void **pointer, uint64_t size, void *config) {
    (void)config;
    return aclrtMallocHost(pointer, size);
}

int aclrtFreeHost(void *pointer) {
    CALLED("");
    return release(pointer);
}

int aclrtGetMemInfo(int kind, size_t *free_bytes, size_t *total) {
    (void)kind;
    *total = memory;
    *free_bytes = memory - (current < 0 ? 0 : used[current]);
    return SUCCESS;
}

/* aclrtPtrAttributes: the device's number, where the memory is (0 pinned, 1 device, 2 neither), its page size. */
int aclrtPointerGetAttributes(const void *pointer, uint32_t *attributes) {
    pthread_mutex_lock(&lock);
    const Block *block = block_of(pointer);
    attributes[0] = block && block->device >= 0 ? block->device : 0;
    attributes[1] = !block ? 2 : block->device >= 0;
    attributes[2] = 4096;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

/* --- copies: a queue of those that were asked for and have not happened */

typedef struct Copy {
    struct Copy *next;
    void *to;
    const void *from;
    size_t size;
    int device;
} Copy;

static Copy *queue;

/* Do what is queued on a device, or on all of them. */
static void finish(int device) {
    pthread_mutex_lock(&lock);
    for (Copy **link = &queue; *link;) {
        Copy *copy = *link;
        if (device >= 0 && copy->device != device) {
            link = &copy->next;
            continue;
        }
        memcpy(copy->to, copy->from, copy->size);
        *link = copy->next;
        free(copy);
    }
    pthread_mutex_unlock(&lock);
}

int aclrtMemcpy(void *to, size_t room, const void *from, size_t size, int kind) {
    (void)room;
    static const char *kinds[] = {"host to host", "host to device", "device to host", "device to device"};
    CALLED("%s, %zu bytes", kinds[kind & 3], size);
    finish(-1);
    memcpy(to, from, size);
    return SUCCESS;
}

int aclrtMemcpyAsync(void *to, size_t room, const void *from, size_t size, int kind, void *stream) {
    (void)room, (void)kind;
    pthread_mutex_lock(&lock);
    const Block *source = block_of(from), *target = block_of(to);
    const char *places[] = {"pageable", "pinned", "device"};
    int where_from = !source ? 0 : source->device < 0 ? 1 : 2, where_to = !target ? 0 : target->device < 0 ? 1 : 2;
    int device = stream ? *(int *)stream : current;
    pthread_mutex_unlock(&lock);
    CALLED("%s to %s, %zu bytes, device %d", places[where_from], places[where_to], size, device);
    if (!where_from || !where_to) {
        finish(device);
        memcpy(to, from, size);
        return SUCCESS;
    }
    Copy *copy = malloc(sizeof *copy), **last = &queue;
    *copy = (Copy){NULL, to, from, size, device};
    pthread_mutex_lock(&lock);
    while (*last) last = &(*last)->next;
    *last = copy;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

int aclrtMemcpyAsyncWithCondition(void *to, size_t room, const void *from, size_t size, int kind, void *stream) {
    return aclrtMemcpyAsync(to, room, from, size, kind, stream);
}

int aclrtMemset(void *to, size_t room, int value, size_t size) {
    (void)room;
    memset(to, value, size);
    return SUCCESS;
}

/* --- streams and events: a stream is the number of its device; an event that is asked for has happened */

int aclrtCreateStreamWithConfig(void **stream, uint32_t priority, uint32_t flags) {
    (void)priority, (void)flags;
    *stream = calloc(1, 64);
    *(int *)*stream = current;
    return SUCCESS;
}

int aclrtCreateStream(void **stream) { return aclrtCreateStreamWithConfig(stream, 0, 0); }

int aclrtCreateEventExWithFlag(void **event, uint32_t flags) { return aclrtCreateStreamWithConfig(event, 0, flags); }

int aclrtCreateEventWithFlag(void **event, uint32_t flags) { return aclrtCreateStreamWithConfig(event, 0, flags); }

int aclrtSynchronizeDevice(void) {
    CALLED("%d", current);
    finish(current);
    return SUCCESS;
}

int aclrtSynchronizeDeviceWithTimeout(int milliseconds) {
    (void)milliseconds;
    return aclrtSynchronizeDevice();
}

int aclrtSynchronizeStream(void *stream) {
    int device = stream ? *(int *)stream : current;
    CALLED("%d", device);
    finish(device);
    return SUCCESS;
}

int aclrtSynchronizeStreamWithTimeout(void *stream, int milliseconds) {
    (void)milliseconds;
    return aclrtSynchronizeStream(stream);
}

int aclrtSynchronizeEvent(void *event) {
    CALLED("%d", *(int *)event);
    finish(*(int *)event);
    return SUCCESS;
}

int aclrtQueryEventStatus(void *event, int *status) {
    finish(*(int *)event);
    *status = 1; /* complete */
    return SUCCESS;
}

int aclrtStreamQuery(void *stream, int *status) {
    finish(stream ? *(int *)stream : current);
    *status = 0; /* complete */
    return SUCCESS;
}

int aclrtEventElapsedTime(float *milliseconds, void *start, void *end) {
    (void)start, (void)end;
    *milliseconds = 1;
    return SUCCESS;
}

/* --- compile options: every one reads "0" */

long aclGetCompileoptSize(int option) {
    (void)option;
    return 2;
}

int aclGetCompileopt(int option, char *value, size_t length) {
    (void)option, (void)length;
    strcpy(value, "0");
    return SUCCESS;
}

/* --- the one kernel that says more than its name: whether it may round float32 (cubeMathType, see aclnnConvolution) */

int aclnnConvolutionGetWorkspaceSize(
    const void *input, const void *weight, const void *bias, const void *stride, const void *padding,
    const void *dilation, _Bool transposed, const void *output_padding, int64_t groups, void *output,
    int8_t cube_math_type, uint64_t *workspace, void **executor
) {
    (void)input, (void)weight, (void)bias, (void)stride, (void)padding, (void)dilation, (void)transposed;
    (void)output_padding, (void)groups, (void)output, (void)executor;
    CALLED("cube math type %d", cube_math_type);
    *workspace = 0;
    return SUCCESS;
}

/* --- all others: a number or a pointer, 0 in either case. The list is made from the names that the wheel looks up. */

#define SUCCEEDS(name) \
    long name(void) { return called(#name, ""); }
#include "names.h"
