/**
 * Vector arithmetic that kernels share: constants, half-precision widening, exp, horizontal sums.
 *
 * Everything is IEEE single precision, operation by operation, so results are the same bits on every machine.
 */

import { $, f32, f32x4, i8x16, i16x8, i32, i32x4, if_, local, v128 } from 'wasmati';
import type { F32, Frame, I32, V128 } from './emit.ts';

/** Pushes a vector of four equal floats. */
export function f32x4Const(value: number) {
  return v128.const('f32x4', [value, value, value, value]);
}

/** Pushes a vector of four equal words. */
export function i32x4Const(value: number) {
  const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 255);
  return v128.const('i8x16', [...bytes, ...bytes, ...bytes, ...bytes] as Parameters<typeof v128.const<'i8x16'>>[1]);
}

/** Pushes a vector of sixteen equal bytes. */
export function i8x16Const(value: number) {
  return v128.const('i8x16', new Array(16).fill(value) as Parameters<typeof v128.const<'i8x16'>>[1]);
}

/** Exponent and mantissa of a half, and its sign, as they lie after the shift by 13. */
const HALF_BITS = 0x8fffe000;
/** 2^(127 − 15): makes up for the difference of the exponents' biases. */
const HALF_REBIAS = 2 ** 112;

/**
 * Gives a routine for [halves shifted left by 13, with sign] → [floats], for finite halves, subnormal ones included: the
 * half's exponent is read in place as a float's, and the product with 2^112 is exact.
 */
export function emitWidenShiftedHalves(frame: Frame): () => void {
  const bits = frame.v128();
  local.set(bits, i32x4Const(HALF_BITS));
  const rebias = emitConstant(frame)(HALF_REBIAS);
  return () => {
    v128.and($, bits);
    f32x4.mul($, rebias);
  };
}

/** Gives a routine that pushes four numbers that lie at `offset` from an address as floats, halves or signed bytes. */
export function emitLoadFour(frame: Frame, format: 'F32' | 'F16' | 'I8') {
  const widen = format === 'F16' ? emitWidenShiftedHalves(frame) : () => {};
  return (offset: number, address: I32) => {
    if (format === 'F32') return v128.load({ offset }, address);
    if (format === 'I8') {
      i16x8.extend_low_i8x16_s(v128.load32_zero({ offset }, address));
      i32x4.extend_low_i16x8_s($);
      f32x4.convert_i32x4_s($);
      return $;
    }
    i32x4.shl(v128.load16x4_s({ offset }, address), 13);
    widen();
    return $;
  };
}

/** The greatest finite half as a float, and the least normal one; 0.5, whose last bit is that of the least half. */
const MAX_HALF_BITS = 0x477fe000;
const MIN_NORMAL_HALF_BITS = 0x38800000;
const HALF_BITS_OF_HALF = 0x3f000000;

/**
 * Gives a routine that pushes the bits of a float rounded to the nearest half, ties to even; beyond ±65504 these.
 * Source: Giesen, "Float to half", public domain.
 */
export function emitToHalf(frame: Frame): (x: F32) => void {
  const [bits, half] = [frame.i32(), frame.i32()];
  return (x) => {
    local.set(bits, i32.and(i32.reinterpret_f32(x), 0x7fffffff));
    i32.gt_u(bits, MAX_HALF_BITS);
    if_(null, () => local.set(bits, i32.const(MAX_HALF_BITS)));
    i32.ge_u(bits, MIN_NORMAL_HALF_BITS);
    if_(
      null,
      () => {
        i32.and(i32.shr_u(bits, 13), 1);
        i32.add(bits, 0xfff - (112 << 23));
        i32.add($, $);
        local.set(half, i32.shr_u($, 13));
      },
      () => {
        f32.add(f32.reinterpret_i32(bits), 0.5);
        i32.reinterpret_f32($);
        local.set(half, i32.sub($, HALF_BITS_OF_HALF));
      },
    );
    i32.and(i32.shr_u(i32.reinterpret_f32(x), 16), 0x8000);
    i32.or($, half);
  };
}

const LOG2_E = Math.LOG2E;
/** Adding it leaves the nearest integer in the low bits of a float below 2^22. */
export const ROUNDING = 1.5 * 2 ** 23;
/** ln 2 in two parts; the first has few enough bits that n · LN2_HIGH is exact for |n| ≤ 2^14. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.121944400546905e-4;
/** Below this the result would be subnormal; it is taken as 0. */
const EXP_LOWEST = -87.3;
const EXP_HIGHEST = 88;
const EXP_POLYNOMIAL = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
];

/**
 * x = exp(x) for each lane, within 2 units in the last place; 0 below −87.3, exp(88) above 88, exactly 1 at 0.
 * e^x = 2^n · e^r with n = round(x / ln 2). Source: Moshier, Cephes Mathematical Library, expf.
 */
export function emitExp(frame: Frame): (x: V128) => void {
  const [n, r, low, shifted] = frame.v128s(4);
  const constant = emitConstant(frame);
  const [lowest, highest, log2e, rounding] = [EXP_LOWEST, EXP_HIGHEST, LOG2_E, ROUNDING].map(constant);
  const [ln2High, ln2Low, one] = [LN2_HIGH, LN2_LOW, 1].map(constant);
  const [first, ...others] = EXP_POLYNOMIAL.map(constant);
  return (x) => {
    local.set(low, f32x4.lt(x, lowest));
    // Operands stand so that what is no number stays none.
    local.set(r, f32x4.pmax(x, lowest));
    local.set(r, f32x4.pmin(r, highest));
    f32x4.mul(r, log2e);
    local.set(shifted, f32x4.add($, rounding));
    local.set(n, f32x4.sub(shifted, rounding));
    local.set(r, f32x4.sub(r, f32x4.mul(n, ln2High)));
    local.set(r, f32x4.sub(r, f32x4.mul(n, ln2Low)));
    local.get(first);
    for (const coefficient of others) f32x4.add(f32x4.mul($, r), coefficient);
    f32x4.mul($, r);
    f32x4.mul($, r);
    f32x4.add($, r);
    f32x4.add($, one);
    // The low bits of `shifted` are n; those of 1 are the exponent of 2^0.
    i32x4.add(i32x4.shl(shifted, 23), one);
    f32x4.mul($, $);
    local.get(low);
    local.set(x, v128.andnot($, $));
  };
}

/** 2^f ≈ 1 + f·Σ c·f^i for |f| ≤ 0.5, within 2e-7 in single precision; fitted for the least relative error. */
const POWER_POLYNOMIAL = [0.69314694, 0.24022242, 0.05550734, 0.009671513, 0.0013264666];
/** Below this 2^x counts as 2^−120. */
const LEAST_EXPONENT = -120;

/**
 * Gives a routine for x = 2^x in each lane, x ≤ 0, within 2e-7; exactly 1 at 0, never less than 2^−120. For sums of
 * exponentials, with three fifths of the operations of {@link emitExp}.
 */
export function emitPowerOfTwo(frame: Frame): (x: V128) => void {
  const [rounded, power] = frame.v128s(2);
  const constant = emitConstant(frame);
  const [least, rounding, one] = [LEAST_EXPONENT, ROUNDING, 1].map(constant);
  const [first, ...others] = POWER_POLYNOMIAL.toReversed().map(constant);
  return (x) => {
    // Operands stand so that what is no number stays none.
    local.set(x, f32x4.pmax(x, least));
    local.set(rounded, f32x4.add(x, rounding));
    local.set(x, f32x4.sub(x, f32x4.sub(rounded, rounding)));
    local.set(power, first);
    for (const coefficient of [...others, one]) local.set(power, f32x4.add(f32x4.mul(power, x), coefficient));
    // The low bits of `rounded` are the nearest integer; those of 1 are the exponent of 2^0.
    i32x4.add(i32x4.shl(rounded, 23), one);
    local.set(x, f32x4.mul($, power));
  };
}

/**
 * Gives a routine that puts a constant into a local of its own. In a loop a constant would be built anew every time round,
 * which takes longer than the operation it is for.
 */
export function emitConstant(frame: Frame): (value: number) => V128 {
  return (value) => {
    const constant = frame.v128();
    local.set(constant, f32x4Const(value));
    return constant;
  };
}

/** result = x0 + x1 + x2 + x3, as (x0 + x1) + (x2 + x3). */
export function sumLanes(result: F32, x: V128): void {
  f32.add(f32x4.extract_lane(0, x), f32x4.extract_lane(1, x));
  f32.add(f32x4.extract_lane(2, x), f32x4.extract_lane(3, x));
  local.set(result, f32.add($, $));
}

/** result = the greatest lane of x, none of which is NaN; a scalar maximum would branch on the data. */
export function maxLanes(result: F32, x: V128): void {
  for (const distance of [2, 1]) {
    rotateLanes(x, distance);
    f32x4.pmax($, x);
    local.set(x, $);
  }
  local.set(result, f32x4.extract_lane(0, x));
}

/** Pushes x with lane (i + distance) mod 4 in lane i. */
export function rotateLanes(x: V128, distance: number) {
  return pickLanes(
    x,
    x,
    [0, 1, 2, 3].map((lane) => (lane + distance) % 4),
  );
}

/** Pushes four lanes of x (0 to 3) and y (4 to 7). */
export function pickLanes(x: V128, y: V128, lanes: readonly number[]) {
  const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));
  return i8x16.shuffle(bytes as Parameters<typeof i8x16.shuffle>[0], x, y);
}
