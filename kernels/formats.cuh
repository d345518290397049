// The constants of one precision: those of `Format` in kernels/formats.py.
#pragma once

template <class Real>
struct Format;

template <>
struct Format<float> {
    typedef u32 Word;
    static constexpr u32 ONE_BITS = 0x3F800000u, FRACTION = 0x007FFFFFu, SIGN = 0x80000000u, MAGNITUDE = 0x7FFFFFFFu;
    static constexpr int UNIT_SHIFT = 8;
    static DEVICE float log_2() { return F32_LOG2; }
    static DEVICE float log_unit() { return F32_LOG_UNIT; }
    static DEVICE float minus_log_two_pi() { return F32_MINUS_LOG_TWO_PI; }
    static DEVICE float start_0() { return F32_START_0; }
    static DEVICE float start_1() { return F32_START_1; }
    static DEVICE float start_2() { return F32_START_2; }
    static DEVICE float negative_log_polynomial(float s) { return horner(s, F32_NEGATIVE_LOG); }
    static DEVICE float central_polynomial(float depth) { return horner(depth - F32_CENTER, F32_CENTRAL); }
    static DEVICE float tail_polynomial(float depth) { return horner(depth - F32_TAIL_START, F32_TAIL); }
    static constexpr u32 SHALLOW_ORIGIN = F32_SHALLOW_ORIGIN;
    static DEVICE float shallow_polynomial(float depth) { return horner(depth, F32_SHALLOW); }
    static DEVICE float shallow_half(float u) { return horner(u, F32_SHALLOW_HALF); }
    static DEVICE float short_log_polynomial(float s) { return horner(s, F32_SHORT_LOG); }
    static DEVICE float mills_polynomial(float s) { return horner(s, F32_MILLS); }
    static DEVICE float exponential_polynomial(float g) { return horner(g, F32_EXPONENTIAL); }
};

template <>
struct Format<double> {
    typedef u64 Word;
    static constexpr u64 ONE_BITS = 0x3FF0000000000000u, FRACTION = 0x000FFFFFFFFFFFFFu, SIGN = 0x8000000000000000u,
                         MAGNITUDE = 0x7FFFFFFFFFFFFFFFu;
    static constexpr int UNIT_SHIFT = 11;
    static DEVICE double log_2() { return F64_LOG2; }
    static DEVICE double log_unit() { return F64_LOG_UNIT; }
    static DEVICE double minus_log_two_pi() { return F64_MINUS_LOG_TWO_PI; }
    static DEVICE double start_0() { return F64_START_0; }
    static DEVICE double start_1() { return F64_START_1; }
    static DEVICE double start_2() { return F64_START_2; }
    static DEVICE double negative_log_polynomial(double s) { return horner(s, F64_NEGATIVE_LOG); }
    static DEVICE double central_polynomial(double depth) { return horner(depth - F64_CENTER, F64_CENTRAL); }
    static DEVICE double mills_polynomial(double s) { return horner(s, F64_MILLS); }
    static DEVICE double exponential_polynomial(double g) { return horner(g, F64_EXPONENTIAL); }
};
