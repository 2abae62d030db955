// Exact fractions of small integers: { n, d } in lowest terms, d positive.

const gcd = (a, b) => (b ? gcd(b, a % b) : Math.abs(a));

export const lcm = (a, b) => (a / gcd(a, b)) * b;

export { gcd };

export function fraction(n, d = 1) {
  const g = gcd(n, d) * Math.sign(d);
  return { n: n / g, d: d / g };
}

export const plus = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
export const minus = (a, b) => fraction(a.n * b.d - b.n * a.d, a.d * b.d);
export const times = (a, by) => fraction(a.n * by, a.d);
export const equal = (a, b) => a.n === b.n && a.d === b.d;
export const value = (a) => a.n / a.d;

/** As Python's `str(Fraction)`: "3/2", or "2" for whole numbers. */
export const text = (a) => (a.d === 1 ? `${a.n}` : `${a.n}/${a.d}`);
