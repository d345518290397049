// What every kernel stands on: fixed-width types, exact operations, and sixteen bytes that are stored at once.
//
// No header is included, and nothing here is NVIDIA's alone: NVRTC compiles these files for a GPU, and a host's C++
// compiler over a dozen macros (tests/host/shim.h) for a test. A sum never contains a bare product: it is `fused`, or the
// product stands alone. (And contraction is switched off.)
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE __device__ __forceinline__

template <class To, class From>
DEVICE To reinterpret(From x) {
    static_assert(sizeof(To) == sizeof(From), "a bit pattern keeps its width");
    union {
        From from;
        To to;
    } both = {x};
    return both.to;
}

DEVICE u32 bits(float x) { return reinterpret<u32>(x); }
DEVICE u64 bits(double x) { return reinterpret<u64>(x); }
DEVICE float unbits(u32 n) { return reinterpret<float>(n); }
DEVICE double unbits(u64 n) { return reinterpret<double>(n); }

// An unsigned word, read as a signed or as an unsigned integer, to the float of its width, to nearest even.
DEVICE float to_float(u32 n) { return static_cast<float>(static_cast<int>(n)); }
DEVICE double to_float(u64 n) { return static_cast<double>(static_cast<long long>(n)); }
DEVICE float to_float_unsigned(u32 n) { return static_cast<float>(n); }
DEVICE double to_float_unsigned(u64 n) { return static_cast<double>(n); }

DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double fused(double a, double b, double c) { return fma(a, b, c); }
DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE double square_root(double x) { return sqrt(x); }

DEVICE float magnitude(float x) { return fabsf(x); }
DEVICE double magnitude(double x) { return fabs(x); }

// The greater and the lesser of two numbers, +0 counting as greater than -0; neither is NaN.
template <class Real>
DEVICE Real greater(Real a, Real b) {
#ifdef __CUDA_ARCH__
    return sizeof(Real) == 4 ? static_cast<Real>(fmaxf(a, b)) : static_cast<Real>(fmax(a, b));
#else
    return a > b ? a : b > a ? b : unbits(bits(a) & bits(b));
#endif
}

template <class Real>
DEVICE Real lesser(Real a, Real b) {
#ifdef __CUDA_ARCH__
    return sizeof(Real) == 4 ? static_cast<Real>(fminf(a, b)) : static_cast<Real>(fmin(a, b));
#else
    return a < b ? a : b < a ? b : unbits(bits(a) | bits(b));
#endif
}

// x moved into [-high, high], for high > 0.
DEVICE float held(float x, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 860
    float y;
    asm("min.xorsign.abs.f32 %0, %1, %2;" : "=f"(y) : "f"(x), "f"(high));
    return y;
#else
    return lesser(greater(x, -high), high);
#endif
}

DEVICE double held(double x, double high) { return lesser(greater(x, -high), high); }

// The same number, of which the compiler knows nothing: it does not share what follows with what came before.
template <class Word>
DEVICE Word unknown(Word x) {
#ifdef __CUDA_ARCH__
    if (sizeof(Word) == 4) {
        u32 y = static_cast<u32>(x);
        asm volatile("" : "+r"(y));
        return y;
    }
#endif
    return x;
}

// Horner's rule by fma, the highest power's coefficient first.
template <class Real>
DEVICE Real horner(Real, Real total) {
    return total;
}

template <class Real, class... Rest>
DEVICE Real horner(Real x, Real total, Real next, Rest... rest) {
    return horner(x, fused(total, x, next), rest...);
}

// Sixteen bytes of output: stored at once, or element by element at an edge.
struct Vector {
    u32 word[4];
};

DEVICE void store(u64 address, const Vector& vector) {
#ifdef __CUDA_ARCH__
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(vector.word[0]), "r"(vector.word[1]),
                 "r"(vector.word[2]), "r"(vector.word[3])
                 : "memory");
#else
    *reinterpret_cast<Vector*>(address) = vector;
#endif
}

template <class Stored>
DEVICE void store_element(u64 address, const Vector& vector, int e) {
    u64 pattern = vector.word[e * static_cast<int>(sizeof(Stored)) / 4];
    if (sizeof(Stored) == 8) pattern |= static_cast<u64>(vector.word[2 * e + 1]) << 32;
    reinterpret_cast<Stored*>(address)[e] = static_cast<Stored>(pattern >> (e * sizeof(Stored) % 4 * 8));
}
