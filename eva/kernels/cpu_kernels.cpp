// Convolutions, norms and max-pools of maps that are stored batch last:
// [channel][row][column][image].
//
// With so few channels that a vector of the processor would be half empty, the images of a batch
// fill it instead: each lane is one image, and a weight is multiplied with a whole vector of them.
// The sums of a block of channels stay in registers until they are complete. float32; the stride
// of a convolution is 1; the number of images is a multiple of 32. Sums have an order that depends
// on the number of threads alone.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#else
#error "without OpenMP a single core would do all the work"
#endif

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int BYTES = 32, REGISTERS = 16;
#else
constexpr int BYTES = 16, REGISTERS = 32;
#endif
constexpr int LANES = BYTES / sizeof(float), VECTORS = 2, IMAGES = VECTORS * LANES;

typedef float Lanes __attribute__((vector_size(BYTES), aligned(4)));
struct Aligned { alignas(BYTES) float value[LANES]; };  // what a std::vector can hold

inline Lanes load(const float* place) { return *(const Lanes*)place; }
inline void store(float* place, Lanes value) { *(Lanes*)place = value; }

// Sizes of a convolution; inputs and outputs are those of one group.
struct Conv {
    long batch, groups, inputs, height, width, outputs, side, padding;
    long rows() const { return height + 2 * padding - side + 1; }
    long columns() const { return width + 2 * padding - side + 1; }
    long weights() const { return outputs * inputs * side * side; }
};

// Calls f(first, size) for blocks of at most MOST channels, as equal as can be.
template <int MOST, class F>
void in_blocks(long channels, F f) {
    const long blocks = (channels + MOST - 1) / MOST;
    for (long b = 0; b < blocks; b++) {
        const long first = b * channels / blocks;
        f(first, (b + 1) * channels / blocks - first);
    }
}

// A block of OUTPUTS channels of a row, for IMAGES images; weights are [input][i][j][output].
template <int OUTPUTS>
void convolve_row(const Conv& s, const float* x, const float* weight, const float* bias, float* y,
                  long row) {
    for (long column = 0; column < s.columns(); column++) {
        Lanes sum[OUTPUTS][VECTORS] = {};
        if (bias != nullptr)
            for (int o = 0; o < OUTPUTS; o++) sum[o][0] = sum[o][1] = Lanes{} + bias[o];
        const long left = column - s.padding;
        const long begin = std::max(0L, -left), end = std::min(s.side, s.width - left);
        for (long c = 0; c < s.inputs; c++)
            for (long i = 0; i < s.side; i++) {
                const long read = row + i - s.padding;
                if (read < 0 || read >= s.height) continue;
                for (long j = begin; j < end; j++) {
                    const float* from = x + ((c * s.height + read) * s.width + left + j) * s.batch;
                    const float* by = weight + ((c * s.side + i) * s.side + j) * s.outputs;
                    const Lanes first = load(from), second = load(from + LANES);
#pragma GCC unroll 16
                    for (int o = 0; o < OUTPUTS; o++) {
                        sum[o][0] += by[o] * first;
                        sum[o][1] += by[o] * second;
                    }
                }
            }
#pragma GCC unroll 16
        for (int o = 0; o < OUTPUTS; o++) {
            float* to = y + ((o * s.rows() + row) * s.columns() + column) * s.batch;
            store(to, sum[o][0]);
            store(to + LANES, sum[o][1]);
        }
    }
}

constexpr int MOST_OUTPUTS = (REGISTERS - 5) / VECTORS;
using ConvolveRow = void (*)(const Conv&, const float*, const float*, const float*, float*, long);
template <class T> struct ConvolveRows;
template <int... N> struct ConvolveRows<std::integer_sequence<int, N...>> {
    static constexpr ConvolveRow of[] = {convolve_row<N + 1>...};
};

void convolve(const Conv& s, const float* x, const float* weight, const float* bias, float* y) {
    using Rows = ConvolveRows<std::make_integer_sequence<int, MOST_OUTPUTS>>;
    const long in = s.inputs * s.height * s.width * s.batch;
    const long plane = s.rows() * s.columns() * s.batch;
#pragma omp parallel for collapse(2) schedule(static)
    for (long n = 0; n < s.batch; n += IMAGES)
        for (long row = 0; row < s.rows(); row++)
            for (long g = 0; g < s.groups; g++)
                in_blocks<MOST_OUTPUTS>(s.outputs, [&](long first, long size) {
                    const long output = g * s.outputs + first;
                    Rows::of[size - 1](s, x + g * in + n, weight + g * s.weights() + first,
                                       bias == nullptr ? bias : bias + output,
                                       y + output * plane + n, row);
                });
}

// Rows that a convolution reads for one of its rows, of IMAGES images, with zeros as padding:
// [input][i][column]. Side by side, they don't push each other out of the cache.
class Window {
public:
    explicit Window(const Conv& s)
        : s(s), width(s.width + 2 * s.padding), lines(s.inputs * s.side * width * VECTORS) {}

    void read(const float* x, long row) {
        first = std::max(0L, s.padding - row);
        last = std::min(s.side, s.height + s.padding - row);
        for (long c = 0; c < s.inputs; c++)
            for (long i = first; i < last; i++) {
                const float* from = x + (c * s.height + row + i - s.padding) * s.width * s.batch;
                Aligned* to = lines.data() + ((c * s.side + i) * width + s.padding) * VECTORS;
                for (long column = 0; column < s.width; column++)
                    for (int v = 0; v < VECTORS; v++)
                        store(to++->value, load(from + column * s.batch + v * LANES));
            }
    }
    const float* at(long c, long i, long column) const {
        return lines[((c * s.side + i) * width + column) * VECTORS].value;
    }
    long first, last;  // of i, that are not all padding

private:
    const Conv& s;
    const long width;
    std::vector<Aligned> lines;
};

// Adds to totals, [input][i][output][j], what a row of OUTPUTS channels and IMAGES images gives;
// the gradient of the row is [column][vector][output].
template <int OUTPUTS, int SIDE>
void gradient_row(const Conv& s, const Window& x, const Aligned* gradient, Aligned* totals) {
    for (long c = 0; c < s.inputs; c++)
        for (long i = x.first; i < x.last; i++) {
            float* total = totals[(c * SIDE + i) * OUTPUTS * SIDE].value;
            Lanes sum[OUTPUTS][SIDE];
#pragma GCC unroll 16
            for (int o = 0; o < OUTPUTS; o++)
#pragma GCC unroll 8
                for (int j = 0; j < SIDE; j++) sum[o][j] = load(total + (o * SIDE + j) * LANES);
            const float *from = x.at(c, i, 0), *by = gradient->value;
            for (long column = 0; column < s.columns(); column++, from += IMAGES)
                for (int v = 0; v < VECTORS; v++, by += OUTPUTS * LANES) {
                    Lanes pixel[SIDE];
#pragma GCC unroll 8
                    for (int j = 0; j < SIDE; j++) pixel[j] = load(from + j * IMAGES + v * LANES);
#pragma GCC unroll 16
                    for (int o = 0; o < OUTPUTS; o++) {
                        Lanes d = load(by + o * LANES);
#ifdef __AVX__
                        asm("" : "+v"(d));  // in a register: g++ would load it SIDE times
#endif
#pragma GCC unroll 8
                        for (int j = 0; j < SIDE; j++) sum[o][j] += d * pixel[j];
                    }
                }
#pragma GCC unroll 16
            for (int o = 0; o < OUTPUTS; o++)
#pragma GCC unroll 8
                for (int j = 0; j < SIDE; j++) store(total + (o * SIDE + j) * LANES, sum[o][j]);
        }
}

// Gradient of the weights of OUTPUTS channels of a group, [output][input][i][j].
template <int OUTPUTS, int SIDE>
void gradient_block(const Conv& s, const float* x, const float* dy, float* dw) {
    const long rows = s.rows(), columns = s.columns(), size = s.inputs * SIDE * OUTPUTS * SIDE;
    std::vector<std::vector<float>> sums(omp_get_max_threads(), std::vector<float>(size));
#pragma omp parallel
    {
        Window window(s);
        std::vector<Aligned> totals(size), gradient(columns * OUTPUTS * VECTORS);
#pragma omp for collapse(2) schedule(static)
        for (long n = 0; n < s.batch; n += IMAGES)
            for (long row = 0; row < rows; row++) {
                Aligned* to = gradient.data();
                for (long column = 0; column < columns; column++)
                    for (int v = 0; v < VECTORS; v++)
                        for (int o = 0; o < OUTPUTS; o++)
                            store(to++->value,
                                  load(dy + ((o * rows + row) * columns + column) * s.batch + n +
                                       v * LANES));
                window.read(x + n, row);
                gradient_row<OUTPUTS, SIDE>(s, window, gradient.data(), totals.data());
            }
        for (long k = 0; k < size; k++)
            for (float value : totals[k].value) sums[omp_get_thread_num()][k] += value;
    }
    for (long k = 0; k < size; k++) {
        const long j = k % SIDE, o = k / SIDE % OUTPUTS, line = k / (SIDE * OUTPUTS);
        float sum = 0;
        for (const auto& mine : sums) sum += mine[k];  // in the order of the threads
        dw[(o * s.inputs * SIDE + line) * SIDE + j] = sum;
    }
}

using GradientBlock = void (*)(const Conv&, const float*, const float*, float*);
template <int SIDE, class T> struct GradientBlocks;
template <int SIDE, int... N> struct GradientBlocks<SIDE, std::integer_sequence<int, N...>> {
    static constexpr GradientBlock of[] = {gradient_block<N + 1, SIDE>...};
};

template <int SIDE>
void weight_gradient(const Conv& s, const float* x, const float* dy, float* dw) {
    constexpr int MOST = std::min(12, (REGISTERS - 2 - SIDE) / SIDE);
    using Blocks = GradientBlocks<SIDE, std::make_integer_sequence<int, MOST>>;
    for (long g = 0; g < s.groups; g++)
        in_blocks<MOST>(s.outputs, [&](long first, long size) {
            Blocks::of[size - 1](
                s, x + g * s.inputs * s.height * s.width * s.batch,
                dy + (g * s.outputs + first) * s.rows() * s.columns() * s.batch,
                dw + g * s.weights() + first * s.inputs * SIDE * SIDE);
        });
}

// Maps of which each channel has statistics. A row of a channel is `length` numbers.
struct Maps {
    long batch, channels, height, width, relu;
    long length() const { return width * batch; }
    long count() const { return height * length(); }
};

inline Lanes positive(Lanes x) { return x < 0 ? Lanes{} : x; }  // what is no number stays

inline double total(Lanes value) {
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += value[k];
    return sum;
}

// Sum over a row of what f gives for the lanes at a place; several sums, so that none waits.
template <class F>
double over_row(long length, F f) {
    constexpr int SUMS = 32 / LANES;  // a row is a multiple of 32 numbers
    Lanes sum[SUMS] = {};
    for (long k = 0; k < length; k += SUMS * LANES)
        for (int v = 0; v < SUMS; v++) sum[v] += f(k + v * LANES);
    double all = 0;
    for (const Lanes& one : sum) all += total(one);
    return all;
}

// Mean and sum of squared differences from it, of some numbers.
struct Moments { double mean, squares; };

Moments of_row(const float* row, long length) {
    const double mean = over_row(length, [&](long k) { return load(row + k); }) / length;
    const float center = mean;
    const double squares = over_row(length, [&](long k) {
        const Lanes d = load(row + k) - center;
        return d * d;
    });
    return {mean, squares};
}

// Means and variances of channels from those of their rows, in the order of the rows, whatever the
// number of threads (Chan, Golub, LeVeque 1983).
void combine(const Maps& s, const std::vector<Moments>& rows, float* mean, float* var) {
    for (long c = 0; c < s.channels; c++) {
        Moments all{0, 0};
        for (long row = 0; row < s.height; row++) {
            const Moments& one = rows[c * s.height + row];
            const double d = one.mean - all.mean;
            all.mean += d / (row + 1);
            all.squares += one.squares + d * d * s.length() * row / (row + 1);
        }
        mean[c] = all.mean;
        var[c] = all.squares / s.count();
    }
}

}  // namespace

extern "C" {

// y is x, or its positive part where s->relu, times the sign of its channel; mean and var are those
// without the sign.
void moments(const Maps* s, const float* x, const float* sign, float* y, float* mean, float* var) {
    std::vector<Moments> rows(s->channels * s->height);
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++) {
        const float* from = x + r * s->length();
        float* to = y + r * s->length();
        const float by = sign[r / s->height];
        for (long k = 0; k < s->length(); k += LANES) {
            const Lanes value = load(from + k);
            store(to + k, by * (s->relu ? positive(value) : value));
        }
        rows[r] = of_row(to, s->length());
        rows[r].mean *= by;
    }
    combine(*s, rows, mean, var);
}

void moments_gradient(const Maps* s, const float* dy, const float* y, const float* sign,
                      const float* mean, const float* dmean, const float* dvar, float* dx) {
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++) {
        const long c = r / s->height, first = r * s->length();
        const float slope = 2 * dvar[c] / s->count(), shift = dmean[c] / s->count() - slope * mean[c];
        for (long k = first; k < first + s->length(); k += LANES) {
            const Lanes value = sign[c] * load(y + k);
            const Lanes d = sign[c] * load(dy + k) + slope * value + shift;
            store(dx + k, s->relu ? (value > 0 ? d : Lanes{}) : d);
        }
    }
}

// A norm before a convolution, in its weights: sizes are of a group, a kernel has `taps` weights.
struct Fold { long groups, outputs, inputs, taps; };

// The convolution of weights `taken` and `moved` does to y, the map as `moments` gives it, what the
// one of `weight` and `bias` (or none) does to scale * map + shift, with scale = gamma / deviation
// and shift = beta - mean * scale.
void fold(const Fold* s, const float* weight, const float* bias, const float* sign,
          const float* scale, const float* shift, float* taken, float* moved) {
    for (long o = 0; o < s->groups * s->outputs; o++) {
        moved[o] = bias == nullptr ? 0 : bias[o];
        for (long i = 0; i < s->inputs; i++) {
            const long c = o / s->outputs * s->inputs + i;
            for (long t = 0; t < s->taps; t++) {
                moved[o] += *weight * shift[c];
                *taken++ = *weight++ * scale[c] * sign[c];
            }
        }
    }
}

void fold_gradient(const Fold* s, const float* dtaken, const float* dmoved, const float* weight,
                   const float* sign, const float* scale, const float* shift, float* dweight,
                   float* dscale, float* dshift) {
    std::fill_n(dscale, s->groups * s->inputs, 0.0f);
    std::fill_n(dshift, s->groups * s->inputs, 0.0f);
    for (long o = 0; o < s->groups * s->outputs; o++)
        for (long i = 0; i < s->inputs; i++) {
            const long c = o / s->outputs * s->inputs + i;
            for (long t = 0; t < s->taps; t++, weight++, dtaken++) {
                *dweight++ = *dtaken * scale[c] * sign[c] + dmoved[o] * shift[c];
                dscale[c] += *dtaken * *weight * sign[c];
                dshift[c] += dmoved[o] * *weight;
            }
        }
}

// y is scale * x + shift, or its positive part where s->relu, with scale = weight / deviation and
// shift = bias - mean * scale; mean and var are those of x, and deviation is sqrt(var + eps).
void norm(const Maps* s, const float* x, const float* weight, const float* bias, const float* eps,
          float* y, float* mean, float* var) {
    std::vector<Moments> rows(s->channels * s->height);
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++)
        rows[r] = of_row(x + r * s->length(), s->length());
    combine(*s, rows, mean, var);
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++) {
        const long c = r / s->height, first = r * s->length();
        const float scale = weight[c] / std::sqrt(var[c] + *eps), shift = bias[c] - mean[c] * scale;
        for (long k = first; k < first + s->length(); k += LANES) {
            const Lanes value = load(x + k) * scale + shift;
            store(y + k, s->relu ? positive(value) : value);
        }
    }
}

void norm_gradient(const Maps* s, const float* dy, const float* x, const float* y,
                   const float* weight, const float* mean, const float* var, const float* eps,
                   float* dx, float* dweight, float* dbias) {
    const auto given = [&](long k) {
        const Lanes d = load(dy + k);
        return s->relu ? (load(y + k) > 0 ? d : Lanes{}) : d;
    };
    std::vector<double> sums(s->channels * s->height), products(s->channels * s->height);
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++) {
        const float center = mean[r / s->height];
        const long first = r * s->length();
        sums[r] = over_row(s->length(), [&](long k) { return given(first + k); });
        products[r] = over_row(s->length(), [&](long k) {
            return given(first + k) * (load(x + first + k) - center);
        });
    }
    for (long c = 0; c < s->channels; c++) {
        double sum = 0, product = 0;
        for (long r = c * s->height; r < (c + 1) * s->height; r++) {
            sum += sums[r];
            product += products[r];
        }
        dbias[c] = sum;
        dweight[c] = product / std::sqrt(var[c] + *eps);
    }
#pragma omp parallel for schedule(static)
    for (long r = 0; r < s->channels * s->height; r++) {
        const long c = r / s->height, first = r * s->length();
        const float inverse = 1 / std::sqrt(var[c] + *eps), scale = weight[c] * inverse;
        const float slope = dweight[c] * inverse / s->count(), shift = dbias[c] / s->count();
        const float center = mean[c];
        for (long k = first; k < first + s->length(); k += LANES)
            store(dx + k, scale * (given(k) - shift - slope * (load(x + k) - center)));
    }
}

// weight is [group][output][input][i][j] here and in what follows; bias may be null.
void conv(const Conv* s, const float* x, const float* weight, const float* bias, float* y) {
    std::vector<float> packed(s->groups * s->weights());
    const long taps = s->side * s->side;
    for (long g = 0; g < s->groups; g++)
        for (long o = 0; o < s->outputs; o++)
            for (long k = 0; k < s->inputs * taps; k++)
                packed[g * s->weights() + k * s->outputs + o] = *weight++;
    convolve(*s, x, packed.data(), bias, y);
}

// The gradient of x is a convolution of dy with the weights turned by 180 degrees.
void conv_input_gradient(const Conv* s, const float* dy, const float* weight, float* dx) {
    std::vector<float> packed(s->groups * s->weights());
    const long taps = s->side * s->side;
    for (long g = 0; g < s->groups; g++)
        for (long o = 0; o < s->outputs; o++)
            for (long c = 0; c < s->inputs; c++)
                for (long tap = 0; tap < taps; tap++)
                    packed[g * s->weights() + (o * taps + taps - 1 - tap) * s->inputs + c] =
                        *weight++;
    const Conv back{s->batch,  s->groups, s->outputs, s->rows(), s->columns(),
                    s->inputs, s->side,   s->side - 1 - s->padding};
    convolve(back, dy, packed.data(), nullptr, dx);
}

void conv_weight_gradient(const Conv* s, const float* x, const float* dy, float* dw) {
    switch (s->side) {
        case 1: return weight_gradient<1>(*s, x, dy, dw);
        case 3: return weight_gradient<3>(*s, x, dy, dw);
        case 5: return weight_gradient<5>(*s, x, dy, dw);
    }
}

// Sizes of a max-pool without padding.
struct Pool { long batch, channels, height, width, side, stride, rows, columns; };

void max_pool(const Pool* s, const float* x, float* y) {
#pragma omp parallel for collapse(2) schedule(static)
    for (long c = 0; c < s->channels; c++)
        for (long row = 0; row < s->rows; row++)
            for (long column = 0; column < s->columns; column++)
                for (long n = 0; n < s->batch; n += LANES) {
                    const float* corner = x + n +
                        ((c * s->height + row * s->stride) * s->width + column * s->stride) * s->batch;
                    Lanes best = load(corner);
                    for (long i = 0; i < s->side; i++)
                        for (long j = 0; j < s->side; j++) {
                            const Lanes other = load(corner + (i * s->width + j) * s->batch);
                            // What is not a number is the largest, as it is to PyTorch.
                            best = ((other > best) | (other != other)) ? other : best;
                        }
                    store(y + ((c * s->rows + row) * s->columns + column) * s->batch + n, best);
                }
}

// The gradient goes to the first of the largest of a window.
void max_pool_gradient(const Pool* s, const float* dy, const float* x, const float* y, float* dx) {
    const long plane = s->height * s->width * s->batch;
#pragma omp parallel for schedule(static)
    for (long c = 0; c < s->channels; c++) {
        std::fill_n(dx + c * plane, plane, 0.0f);
        for (long row = 0; row < s->rows; row++)
            for (long column = 0; column < s->columns; column++)
                for (long n = 0; n < s->batch; n += LANES) {
                    const long window = ((c * s->rows + row) * s->columns + column) * s->batch + n;
                    const long corner = n +
                        ((c * s->height + row * s->stride) * s->width + column * s->stride) * s->batch;
                    const Lanes top = load(y + window);
                    Lanes left = load(dy + window);
                    for (long i = 0; i < s->side; i++)
                        for (long j = 0; j < s->side; j++) {
                            const long place = corner + (i * s->width + j) * s->batch;
                            const auto hit = load(x + place) == top;
                            store(dx + place, load(dx + place) + (hit ? left : Lanes{}));
                            left = hit ? Lanes{} : left;
                        }
                }
    }
}

}  // extern "C"
