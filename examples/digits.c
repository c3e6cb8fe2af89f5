/* digits: trains a classifier of handwritten digits, data-parallel.
 *
 *     unisono run -n 2 ./digits [--data FILE] [--epochs N] [--memory private|shared|mixed]
 *
 * Every rank holds the same network (a perceptron 64-64-10) and takes its part of each minibatch. The
 * gradients of the parts lie in one buffer, which one all_reduce a step sums; then all ranks take the same
 * step. unisono folds in rank order, so for one number of ranks the losses are the same to the last bit,
 * whatever UNISONO_ALGORITHM and --memory: the checksum printed at the end is there to compare. */
#define _POSIX_C_SOURCE 200809L

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <unisono.h>

#ifndef EXAMPLES_DATA
#define EXAMPLES_DATA "./examples/data"
#endif

enum { PIXELS = 64, HIDDEN = 64, CLASSES = 10, IMAGES = 1797, TRAINING = 1437, TEST = IMAGES - TRAINING };
enum { BATCH = 64, STEPS = (TRAINING + BATCH - 1) / BATCH }; /* images a step, steps an epoch */

/* Where the network's parts lie in one array of floats. Gradients lie the same way, the loss behind them. */
enum {
  W1 = 0,                     /* PIXELS x HIDDEN */
  B1 = W1 + PIXELS * HIDDEN,  /* HIDDEN */
  W2 = B1 + HIDDEN,           /* HIDDEN x CLASSES */
  B2 = W2 + HIDDEN * CLASSES, /* CLASSES */
  PARAMETERS = B2 + CLASSES,
  LOSS = PARAMETERS,
  REDUCED
};

static const float learning_rate = 0.1F, momentum = 0.9F;

struct images {
  float pixels[IMAGES][PIXELS]; /* 0 to 1 */
  uint8_t digit[IMAGES];
  int order[IMAGES]; /* shuffled: the first TRAINING are for training, the others for the test */
};

struct options {
  const char *data, *memory;
  int epochs;
};

static struct images images;
static float network[PARAMETERS], velocity[PARAMETERS];

/* Leaving without unisono_comm_destroy is fine: the peers' operations end with "peer lost". */
static void check(unisono_status status) {
  if (status == UNISONO_OK)
    return;
  fprintf(stderr, "digits: %s: %s\n", unisono_status_string(status), unisono_last_error());
  exit(EXIT_FAILURE);
}

/* Ends this rank after the others have come this far, too: `unisono run` ends all when one fails. */
_Noreturn static void leave(unisono_comm *comm, int status) {
  fflush(stdout);
  check(unisono_barrier(comm));
  check(unisono_comm_destroy(comm));
  exit(status);
}

/* ------------------------------------------------------------------------------------------ random numbers
 * The same on every rank (xorshift), so that all start from the same network and shuffle alike. */

static uint32_t random_bits(void) {
  static uint64_t state = 20260101;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static void shuffle(int *order, uint32_t n) {
  for (uint32_t i = n - 1; i > 0; i--) {
    uint32_t j = random_bits() % (i + 1);
    int kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

/* Uniform in +-sqrt(6 / inputs), He's choice for rectified units. */
static void randomize(float *weights, int inputs, int outputs) {
  float limit = sqrtf(6.0F / (float)inputs);
  for (int i = 0; i < inputs * outputs; i++)
    weights[i] = limit * (2 * ((float)(random_bits() >> 8) / 16777216.0F) - 1);
}

/* --------------------------------------------------------------------------------------------------- data */

static bool read_image(FILE *file, int image) {
  unsigned value;
  for (int i = 0; i < PIXELS; i++) {
    if (fscanf(file, "%2u,", &value) != 1 || value > 16)
      return false;
    images.pixels[image][i] = (float)value / 16;
  }
  if (fscanf(file, "%2u", &value) != 1 || value >= CLASSES)
    return false;
  images.digit[image] = (uint8_t)value;
  return true;
}

/* False after a message. Without a path it is the file that the build knows, else that of the source tree. */
static bool read_images(const char *path) {
  FILE *file = fopen(path ? path : EXAMPLES_DATA "/digits.csv", "r");
  if (!file && !path)
    file = fopen("./examples/data/digits.csv", "r");
  if (!file) {
    perror(path ? path : "digits: examples/data/digits.csv (--data names another file)");
    return false;
  }
  int n = 0;
  while (n < IMAGES && read_image(file, n))
    n++;
  fclose(file);
  if (n < IMAGES)
    fprintf(stderr, "digits: line %d of the data is not 64 pixels and a digit\n", n + 1);
  return n == IMAGES;
}

/* Rank 0 reads and the others get it; a failure is told to all, so that nobody waits. */
static void load_images(const char *path, unisono_comm *comm) {
  uint8_t ok = unisono_comm_rank(comm) == 0 && read_images(path);
  check(unisono_broadcast(&ok, 1, UNISONO_UINT8, 0, comm));
  if (!ok)
    leave(comm, EXIT_FAILURE);
  check(unisono_broadcast(images.pixels, IMAGES * PIXELS, UNISONO_FLOAT32, 0, comm));
  check(unisono_broadcast(images.digit, IMAGES, UNISONO_UINT8, 0, comm));
  for (int i = 0; i < IMAGES; i++)
    images.order[i] = i;
  shuffle(images.order, IMAGES);
}

/* ------------------------------------------------------------------------------------------------ network */

/* out = bias + in * weights. */
static void layer(const float *in, int inputs, const float *weights, const float *bias, float *out,
                  int outputs) {
  for (int j = 0; j < outputs; j++)
    out[j] = bias[j];
  for (int i = 0; i < inputs; i++)
    for (int j = 0; j < outputs; j++)
      out[j] += in[i] * weights[i * outputs + j];
}

/* Adds what one image says about a layer's weights and biases; `delta` is the loss's slope by its outputs. */
static void add_gradient(const float *in, int inputs, const float *delta, int outputs, float *weights,
                         float *bias) {
  for (int i = 0; i < inputs; i++)
    for (int j = 0; j < outputs; j++)
      weights[i * outputs + j] += in[i] * delta[j];
  for (int j = 0; j < outputs; j++)
    bias[j] += delta[j];
}

static void forward(int image, float hidden[HIDDEN], float scores[CLASSES]) {
  layer(images.pixels[image], PIXELS, network + W1, network + B1, hidden, HIDDEN);
  for (int i = 0; i < HIDDEN; i++)
    hidden[i] = hidden[i] > 0 ? hidden[i] : 0;
  layer(hidden, HIDDEN, network + W2, network + B2, scores, CLASSES);
}

static int highest(const float scores[CLASSES]) {
  int best = 0;
  for (int k = 1; k < CLASSES; k++)
    best = scores[k] > scores[best] ? k : best;
  return best;
}

/* Softmax and cross-entropy: returns the loss and replaces the scores by its slope. */
static float cross_entropy(float scores[CLASSES], int digit) {
  float peak = scores[highest(scores)], own = scores[digit], sum = 0;
  for (int k = 0; k < CLASSES; k++)
    sum += scores[k] = expf(scores[k] - peak);
  for (int k = 0; k < CLASSES; k++)
    scores[k] = scores[k] / sum - (k == digit ? 1.0F : 0.0F);
  return logf(sum) - (own - peak);
}

/* Adds one image's gradients and loss. */
static void backward(int image, float *gradients) {
  float hidden[HIDDEN], delta[CLASSES], hidden_delta[HIDDEN];
  forward(image, hidden, delta);
  gradients[LOSS] += cross_entropy(delta, images.digit[image]);
  add_gradient(hidden, HIDDEN, delta, CLASSES, gradients + W2, gradients + B2);
  for (int i = 0; i < HIDDEN; i++) {
    hidden_delta[i] = 0;
    for (int k = 0; hidden[i] > 0 && k < CLASSES; k++)
      hidden_delta[i] += network[W2 + i * CLASSES + k] * delta[k];
  }
  add_gradient(images.pixels[image], PIXELS, hidden_delta, HIDDEN, gradients + W1, gradients + B1);
}

/* ----------------------------------------------------------------------------------------------- training */

/* The first of this rank's share of n things; the share ends where the next rank's begins. */
static int share(int n, int rank, int size) {
  return (int)((int64_t)n * rank / size);
}

/* One step on the minibatch of n images: the part that unisono is here for. Returns the sum of their losses.
 */
static float train_step(const int *batch, int n, float rate, float *gradients, unisono_comm *comm) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  memset(gradients, 0, REDUCED * sizeof *gradients);
  for (int i = share(n, rank, size); i < share(n, rank + 1, size); i++)
    backward(batch[i], gradients);
  check(unisono_all_reduce(gradients, gradients, REDUCED, UNISONO_FLOAT32, UNISONO_SUM, comm));
  for (int i = 0; i < PARAMETERS; i++) {
    velocity[i] = momentum * velocity[i] - rate / (float)n * gradients[i];
    network[i] += velocity[i];
  }
  return gradients[LOSS];
}

/* FNV-1a, continued by the bits of one loss. */
static uint64_t add_to_checksum(uint64_t checksum, uint32_t bits) {
  for (int byte = 0; byte < 4; byte++)
    checksum = (checksum ^ (bits >> (8 * byte) & 0xff)) * UINT64_C(0x100000001b3);
  return checksum;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* On a terminal one line that changes; in a pipe a line every five epochs. */
static void show_progress(int epoch, int epochs, float loss) {
  bool terminal = isatty(STDOUT_FILENO);
  if (!terminal && epoch % 5 != 0 && epoch != epochs)
    return;
  printf("%sepoch %3d of %d, loss %.6f%s", terminal ? "\r" : "", epoch, epochs, (double)loss,
         terminal && epoch != epochs ? "" : "\n");
  fflush(stdout);
}

/* Returns the last epoch's mean loss; *checksum is over the losses of all steps. */
static float train(int epochs, float *gradients, unisono_comm *comm, uint64_t *checksum) {
  float mean = 0;
  *checksum = UINT64_C(0xcbf29ce484222325);
  for (int epoch = 0; epoch < epochs; epoch++) {
    float sum = 0, rate = learning_rate * (1 - (float)epoch / (float)epochs);
    shuffle(images.order, TRAINING);
    for (int first = 0; first < TRAINING; first += BATCH) {
      int n = TRAINING - first < BATCH ? TRAINING - first : BATCH;
      float loss = train_step(images.order + first, n, rate, gradients, comm);
      *checksum = add_to_checksum(*checksum, bits_of(loss));
      sum += loss;
    }
    mean = sum / (float)TRAINING;
    if (unisono_comm_rank(comm) == 0)
      show_progress(epoch + 1, epochs, mean);
  }
  return mean;
}

/* Each rank tests its share of the test images; the counts are summed. */
static uint64_t count_right(unisono_comm *comm) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  uint64_t right = 0;
  for (int i = share(TEST, rank, size); i < share(TEST, rank + 1, size); i++) {
    float hidden[HIDDEN], scores[CLASSES];
    int image = images.order[TRAINING + i];
    forward(image, hidden, scores);
    right += highest(scores) == images.digit[image];
  }
  check(unisono_all_reduce(&right, &right, 1, UNISONO_UINT64, UNISONO_SUM, comm));
  return right;
}

/* --------------------------------------------------------------------------------------------------- main */

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 0: go on; else what getopt_long found: '?' a mistake, 'h' a call for help. */
static int read_options(int argc, char **argv, struct options *options) {
  static const struct option known[] = {{"data", required_argument, NULL, 'd'},
                                        {"epochs", required_argument, NULL, 'e'},
                                        {"memory", required_argument, NULL, 'm'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'd')
      options->data = optarg;
    else if (c == 'e')
      options->epochs = (int)strtol(optarg, NULL, 10);
    else if (c == 'm')
      options->memory = optarg;
    else
      return c;
  }
  bool memory_known = strcmp(options->memory, "private") == 0 || strcmp(options->memory, "shared") == 0 ||
                      strcmp(options->memory, "mixed") == 0;
  return optind == argc && options->epochs > 0 && options->epochs <= 100000 && memory_known ? 0 : '?';
}

/* The buffer that is all-reduced: memory of one's own, or memory that the peers reach without a copy.
 * "mixed": even ranks have the one kind, odd ranks the other. */
static float *new_gradients(bool shared, unisono_comm *comm) {
  static float private_gradients[REDUCED];
  void *gradients = private_gradients;
  if (shared)
    check(unisono_mem_alloc(comm, sizeof private_gradients, &gradients));
  return gradients;
}

int main(int argc, char **argv) {
  unisono_comm *comm;
  check(unisono_comm_init_env(&comm, NULL));
  int rank = unisono_comm_rank(comm);
  struct options options = {.memory = "shared", .epochs = 30};
  opterr = rank == 0; /* getopt_long's messages once, not once a rank */
  int wrong = read_options(argc, argv, &options);
  if (wrong && rank == 0)
    fprintf(wrong == 'h' ? stdout : stderr,
            "usage: digits [--data FILE] [--epochs N] [--memory private|shared|mixed]\n");
  if (wrong)
    leave(comm, wrong == 'h' ? EXIT_SUCCESS : 2);

  load_images(options.data, comm);
  randomize(network + W1, PIXELS, HIDDEN);
  randomize(network + W2, HIDDEN, CLASSES);
  bool shared = options.memory[0] == 's' || (options.memory[0] == 'm' && rank % 2 == 0);
  float *gradients = new_gradients(shared, comm);

  uint64_t checksum;
  double start = seconds();
  float loss = train(options.epochs, gradients, comm, &checksum);
  double took = seconds() - start;
  uint64_t right = count_right(comm);
  if (rank == 0) {
    printf("%d steps of %d images in %.2f s, %d ranks, %s memory\n", options.epochs * STEPS, BATCH, took,
           unisono_comm_size(comm), options.memory);
    printf("final loss %.9g (bits 0x%08" PRIx32 ")\n", (double)loss, bits_of(loss));
    printf("checksum of all losses 0x%016" PRIx64 "\n", checksum);
    printf("test accuracy %.2f%% (%" PRIu64 " of %d)\n", 100 * (double)right / (double)TEST, right, TEST);
  }
  if (shared)
    check(unisono_mem_free(comm, gradients));
  leave(comm, EXIT_SUCCESS);
}
