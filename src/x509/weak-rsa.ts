/**
 * Returns what is wrong with an RSA modulus that a laptop can factor, as the end of a sentence that
 * begins with "a modulus that"; `null`: none of the known faults. The checks are those that the
 * Baseline Requirements of the CA/Browser Forum ask of public authorities (§6.1.1.3, §6.1.6), and
 * take less than a millisecond for 2048 bits.
 */
export function rsaWeakness(modulus: bigint): string | null {
  const { primes, rocaSubgroups } = tables()
  const remainders = new Map(primes.map((prime) => [prime, Number(modulus % BigInt(prime))]))
  const factor = primes.find((prime) => remainders.get(prime) === 0)
  if (factor !== undefined) return `is divisible by ${factor}`
  // By chance one modulus in 240 million has this form.
  if ([...rocaSubgroups].every(([prime, powers]) => powers.has(remainders.get(prime) ?? 0)))
    return 'a faulty chip made, from which others can calculate the private key (CVE-2017-15361)'
  return hasClosePrimes(modulus) ? 'is the product of two primes close to each other' : null
}

/**
 * Calculated when the first RSA key comes.
 *
 * `primes`: the primes below 752, the bound of the Baseline Requirements for factors of a modulus.
 *
 * `rocaSubgroups`: the powers of 65537 modulo each odd prime up to 167. Infineon's library made
 * primes whose remainders are such powers, and so are the remainders of their product (ROCA, "The
 * Return of Coppersmith's Attack", 2017, §2). Its keys of 2048 bits and more have the form for
 * further primes too.
 */
interface Tables {
  readonly primes: readonly number[]
  readonly rocaSubgroups: ReadonlyMap<number, ReadonlySet<number>>
}

let calculated: Tables | null = null

function tables(): Tables {
  if (calculated !== null) return calculated
  const primes = Array.from({ length: 750 }, (_, i) => i + 2).filter(isPrime)
  const ofRoca = primes.filter((prime) => prime > 2 && prime <= 167)
  const rocaSubgroups = new Map(ofRoca.map((prime) => [prime, powersOf(65_537, prime)]))
  return (calculated = { primes, rocaSubgroups })
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++)
    if (number % divisor === 0) return false
  return true
}

function powersOf(base: number, modulus: number): ReadonlySet<number> {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * base) % modulus) powers.add(power)
  return powers
}

/** The rounds of Fermat's factorization that the Baseline Requirements ask for. */
const fermatRounds = 100

/** Whether Fermat's factorization finds the primes: a² − n is a square for an a close above √n. */
function hasClosePrimes(modulus: bigint): boolean {
  let a = squareRoot(modulus)
  if (a * a < modulus) a += 1n
  for (let round = 0; round < fermatRounds; round++, a += 1n)
    if (isSquare(a * a - modulus)) return true
  return false
}

function isSquare(value: bigint): boolean {
  // Only a tenth of all numbers has the remainder of a square; the root takes the most time.
  if (!squaresOf720.has(Number(value % 720n))) return false
  const root = squareRoot(value)
  return root * root === value
}

const squaresOf720 = new Set(Array.from({ length: 720 }, (_, i) => (i * i) % 720))

/** Returns the square root, rounded down, by Newton's method from a first guess above it. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value
  let root = 1n << BigInt(Math.ceil(value.toString(16).length * 2))
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}
