/* Matrix products in bfloat16 with float32 sums, by the oneDNN that Paddle brings along.
 *
 * Its library is opened at run time, and the few functions of its C interface (version 3) that are used are declared
 * here, since Paddle's wheel has no headers. Making a primitive takes milliseconds, so they are kept, WAYS in each of
 * SETS; the one that was not used for the longest time makes room for another. Where weights are packed, the number
 * of rows is left open until a product is computed: one primitive serves all batches.
 * onednn.py checks sizes. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define SETS 256
#define WAYS 4

typedef int64_t i64;
typedef struct { int major, minor, patch; } version;
typedef struct { int argument; void *memory; } argument;

enum { BF16 = 2, F32 = 3 };                                /* dnnl_data_type_t */
enum { ANY = 1, CPU = 1, IN_ORDER = 1 };                   /* format tag, kind of engine, stream flag */
enum { WEIGHTS_MD = 131, STRIDES = 14, BLOCK_COUNT = 263, BLOCKS = 264, BLOCKED = 265 }; /* dnnl_query_t */
enum { SRC = 1, DST = 17, WEIGHTS = 33, BIAS = 41 };       /* arguments of an execution */
enum { AMX_ISA = 0xfef };                                  /* dnnl_cpu_isa_avx512_core_amx */
enum { GELU_ERF = 49 };                                    /* dnnl_eltwise_gelu_erf */
#define OPEN INT64_MIN                                     /* DNNL_RUNTIME_DIM_VAL */

/* What a product is beside its sizes; onednn.py reads the numbers from here. */
#define TRANSPOSE_A 1
#define TRANSPOSE_B 2
#define PACKED_B 4
#define FLOAT_C 8
#define ACCUMULATE 16
#define GELU 32
#define HAS_BIAS 64

#define FUNCTIONS(F) \
    F(const version *, dnnl_version, (void)) \
    F(int, dnnl_get_effective_cpu_isa, (void)) \
    F(int, dnnl_engine_create, (void **, int, size_t)) \
    F(int, dnnl_stream_create, (void **, void *, unsigned)) \
    F(int, dnnl_stream_wait, (void *)) \
    F(int, dnnl_memory_desc_create_with_strides, (void **, int, const i64 *, int, const i64 *)) \
    F(int, dnnl_memory_desc_create_with_tag, (void **, int, const i64 *, int, int)) \
    F(int, dnnl_memory_desc_clone, (void **, const void *)) \
    F(int, dnnl_memory_desc_destroy, (void *)) \
    F(int, dnnl_memory_desc_query, (const void *, int, void *)) \
    F(int, dnnl_memory_create, (void **, const void *, void *, void *)) \
    F(int, dnnl_memory_destroy, (void *)) \
    F(int, dnnl_post_ops_create, (void **)) \
    F(int, dnnl_post_ops_destroy, (void *)) \
    F(int, dnnl_post_ops_append_sum, (void *, float, int32_t, int)) \
    F(int, dnnl_post_ops_append_eltwise, (void *, int, float, float)) \
    F(int, dnnl_primitive_attr_create, (void **)) \
    F(int, dnnl_primitive_attr_destroy, (void *)) \
    F(int, dnnl_primitive_attr_set_post_ops, (void *, const void *)) \
    F(int, dnnl_matmul_primitive_desc_create, \
      (void **, void *, const void *, const void *, const void *, const void *, const void *)) \
    F(const void *, dnnl_primitive_desc_query_md, (const void *, int, int)) \
    F(int, dnnl_primitive_desc_destroy, (void *)) \
    F(int, dnnl_primitive_create, (void **, const void *)) \
    F(int, dnnl_primitive_execute, (const void *, void *, int, const argument *)) \
    F(int, dnnl_primitive_destroy, (void *))

#define DECLARE(type, name, parameters) static type(*name) parameters;
FUNCTIONS(DECLARE)

static void *engine, *stream;
static int is_amx; /* whether products with open sizes are fast */

/* Open the library. numbers: its version and its dnnl_cpu_isa_t. Returns 0, or 1 if the library cannot be opened, 2 if
 * it lacks a function, 3 if it fails. */
int onednn_open(const char *path, int *numbers) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return 1;
#define IS_MISSING(type, name, parameters) || !dlsym(library, #name)
    if (0 FUNCTIONS(IS_MISSING)) return 2;
#define LOOK_UP(type, name, parameters) name = (type(*) parameters)dlsym(library, #name);
    FUNCTIONS(LOOK_UP)
    const version *v = dnnl_version();
    numbers[0] = v->major, numbers[1] = v->minor, numbers[2] = v->patch, numbers[3] = dnnl_get_effective_cpu_isa();
    is_amx = (numbers[3] & AMX_ISA) == AMX_ISA;
    if (engine) return 0; /* primitives belong to the first one */
    return dnnl_engine_create(&engine, CPU, 0) || dnnl_stream_create(&stream, engine, IN_ORDER) ? 3 : 0;
}

/* c (m, n) = a (m, k) b (k, n), batch times. ld: how far rows of the stored matrices are apart; step: products. */
typedef struct {
    i64 flags, batch, m, k, n, ld_a, ld_b, ld_c, step_a, step_b, step_c;
} shape;

typedef struct {
    shape key;
    void *primitive, *weights; /* and the descriptor of the weights it takes */
    i64 used;
} entry;

static entry cache[SETS][WAYS];
static i64 clock_hand;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *matrix(i64 batch, i64 rows, i64 columns, int type, i64 ld, i64 step, i64 transposed) {
    i64 sizes[12] = {batch, rows, columns}, strides[12] = {step, transposed ? 1 : ld, transposed ? ld : 1};
    void *made = NULL;
    int skipped = batch == 1;
    dnnl_memory_desc_create_with_strides(&made, 3 - skipped, sizes + skipped, type, strides + skipped);
    return made;
}
static void *matrix_a(const shape *s, i64 m) {
    i64 ld = m == OPEN && s->flags & TRANSPOSE_A ? OPEN : s->ld_a;
    return matrix(s->batch, m, s->k, BF16, ld, s->step_a, s->flags & TRANSPOSE_A);
}
static void *matrix_b(const shape *s) {
    return matrix(s->batch, s->k, s->n, BF16, s->ld_b, s->step_b, s->flags & TRANSPOSE_B);
}
static void *matrix_c(const shape *s, i64 m) {
    return matrix(s->batch, m, s->n, s->flags & FLOAT_C ? F32 : BF16, s->ld_c, s->step_c, 0);
}
static void *row(const shape *s) {
    return matrix(s->batch, 1, s->n, F32, s->n, s->n, 0);
}

/* The descriptor of packed weights (k, n), the same whatever else a product is; NULL where oneDNN wants them in another
 * order than bf16_pack has: blocks of 32 rows and 64 columns, two rows interlaced, the blocks of a column in turn. */
static void *packed(i64 k, i64 n) {
    i64 sizes[12] = {k, n}, blocks = (k + 31) / 32, m = is_amx ? OPEN : 512;
    shape s = {0, 1, m, k, n, k, n, n, 0, 0, 0};
    void *a = matrix_a(&s, m), *c = matrix_c(&s, m), *b = NULL, *description = NULL, *made = NULL;
    dnnl_memory_desc_create_with_tag(&b, 2, sizes, BF16, ANY);
    if (a && b && c && !dnnl_matmul_primitive_desc_create(&description, engine, a, b, NULL, c, NULL)) {
        const void *weights = dnnl_primitive_desc_query_md(description, WEIGHTS_MD, 0);
        int count = 0;
        i64(*strides)[12] = NULL, (*block)[12] = NULL, (*blocked)[12] = NULL;
        dnnl_memory_desc_query(weights, BLOCK_COUNT, &count);
        dnnl_memory_desc_query(weights, BLOCKS, &block);
        dnnl_memory_desc_query(weights, BLOCKED, &blocked);
        dnnl_memory_desc_query(weights, STRIDES, &strides);
        int fits = count == 3 && block && blocked && strides && (*block)[0] == 16 && (*block)[1] == 64 &&
                   (*block)[2] == 2 && (*blocked)[0] == 0 && (*blocked)[1] == 1 && (*blocked)[2] == 0;
        fits = fits && (*strides)[1] == 2048 * blocks && (*strides)[0] == 2048;
        if (fits) dnnl_memory_desc_clone(&made, weights);
        dnnl_primitive_desc_destroy(description);
    }
    dnnl_memory_desc_destroy(a), dnnl_memory_desc_destroy(b), dnnl_memory_desc_destroy(c);
    return made;
}

static void *attributes(i64 flags) {
    void *made = NULL, *operations = NULL;
    if (!(flags & (ACCUMULATE | GELU)) || dnnl_primitive_attr_create(&made)) return NULL;
    dnnl_post_ops_create(&operations);
    if (flags & ACCUMULATE) dnnl_post_ops_append_sum(operations, 1.0f, 0, 0);
    if (flags & GELU) dnnl_post_ops_append_eltwise(operations, GELU_ERF, 0.0f, 0.0f);
    dnnl_primitive_attr_set_post_ops(made, operations);
    dnnl_post_ops_destroy(operations);
    return made;
}

static int make(entry *e) {
    const shape *s = &e->key;
    void *a = matrix_a(s, s->m), *c = matrix_c(s, s->m), *bias = s->flags & HAS_BIAS ? row(s) : NULL;
    void *extra = attributes(s->flags), *description = NULL;
    e->weights = s->flags & PACKED_B ? packed(s->k, s->n) : matrix_b(s);
    int failed = dnnl_matmul_primitive_desc_create(&description, engine, a, e->weights, bias, c, extra);
    failed = failed || dnnl_primitive_create(&e->primitive, description);
    if (description) dnnl_primitive_desc_destroy(description);
    dnnl_memory_desc_destroy(a), dnnl_memory_desc_destroy(c);
    if (bias) dnnl_memory_desc_destroy(bias);
    if (extra) dnnl_primitive_attr_destroy(extra);
    return failed;
}

static void clear(entry *e) {
    if (e->primitive) dnnl_primitive_destroy(e->primitive);
    if (e->weights) dnnl_memory_desc_destroy(e->weights);
    memset(e, 0, sizeof *e);
}

static entry *look_up(const shape *key) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *key / sizeof(i64); i++) hash = (hash ^ (uint64_t)((i64 *)key)[i]) * 1099511628211u;
    entry *set = cache[(hash >> 32) % SETS], *oldest = set;
    for (entry *e = set; e < set + WAYS; e++) {
        if (e->primitive && !memcmp(&e->key, key, sizeof *key)) {
            e->used = ++clock_hand;
            return e;
        }
        if (e->used < oldest->used) oldest = e;
    }
    clear(oldest);
    oldest->key = *key;
    if (make(oldest)) {
        clear(oldest);
        return NULL;
    }
    oldest->used = ++clock_hand;
    return oldest;
}

static int run(const void *primitive, int count, const int *names, void **descriptions, void **data) {
    argument arguments[4];
    int failed = 0, made = 0;
    for (; made < count && !failed; made++) {
        arguments[made].argument = names[made];
        failed = dnnl_memory_create(&arguments[made].memory, descriptions[made], engine, data[made]);
    }
    failed = failed || dnnl_primitive_execute(primitive, stream, count, arguments) || dnnl_stream_wait(stream);
    for (int i = 0; i < made; i++) dnnl_memory_destroy(arguments[i].memory);
    return failed;
}

/* c = a b, + bias (n), + c, or gelu of it, as flags say. Returns 0, or 1 if oneDNN fails. */
int onednn_product(const uint16_t *a, const void *b, const float *bias, void *c, i64 flags, i64 batch, i64 m, i64 k,
                   i64 n, i64 ld_a, i64 ld_b, i64 ld_c, i64 step_a, i64 step_b, i64 step_c) {
    shape s = {flags, batch, m, k, n, ld_a, ld_b, ld_c, step_a, step_b, step_c};
    shape key = s;
    /* Where rows of a are further apart than they are long, oneDNN 3.6.2 reads the wrong numbers if m is open. */
    if (is_amx && flags & PACKED_B && !(flags & TRANSPOSE_A) && ld_a == k) key.m = OPEN;
    pthread_mutex_lock(&lock);
    entry *e = look_up(&key);
    int failed = !e;
    if (e) {
        int names[4] = {SRC, WEIGHTS, DST, BIAS}, count = flags & HAS_BIAS ? 4 : 3;
        void *data[4] = {(void *)a, (void *)b, c, (void *)bias};
        void *descriptions[4] = {matrix_a(&s, m), e->weights, matrix_c(&s, m), row(&s)};
        failed = run(e->primitive, count, names, descriptions, data);
        dnnl_memory_desc_destroy(descriptions[0]), dnnl_memory_desc_destroy(descriptions[2]);
        dnnl_memory_desc_destroy(descriptions[3]);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}

/* Whether products take weights (k, n) as bf16_pack orders them. */
int onednn_takes_packed(i64 k, i64 n) {
    void *description = packed(k, n);
    if (description) dnnl_memory_desc_destroy(description);
    return description != NULL;
}
