import * as fc from 'fast-check'

/** What a parser's valid samples look like: which shapes are made up beside broken samples. */
export type Shape = 'der' | 'json' | 'text'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((each) => Buffer.from(each))

/** Numbers that lengths, counts and versions are replaced by. */
const telling = fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0x84, 0x88, 0xfe, 0xff)

type Edit = (input: Buffer, at: number) => Buffer

const spliced = (input: Buffer, from: number, to: number, between: Buffer): Buffer =>
  Buffer.concat([input.subarray(0, from), between, input.subarray(to)])

/** One change at a place; most keep the rest of the sample as it was. */
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.nat(7).map((bit): Edit => (input, at) => {
    return spliced(input, at, at + 1, Buffer.of((input[at] ?? 0) ^ (1 << bit)))
  }),
  fc.oneof(telling, fc.nat(255)).map((octet): Edit => (input, at) => {
    return spliced(input, at, at + 1, Buffer.of(octet))
  }),
  fc.constant<Edit>((input, at) => input.subarray(0, at)),
  fc.constant<Edit>((input, at) => input.subarray(at)),
  fc.nat(200).map(
    (length): Edit =>
      (input, at) =>
        spliced(input, at, at + length, Buffer.alloc(0)),
  ),
  fc.nat(200).map((length): Edit => (input, at) => {
    return spliced(input, at, at, input.subarray(at, at + length))
  }),
  bytes(40).map(
    (more): Edit =>
      (input, at) =>
        spliced(input, at, at, more),
  ),
)

/** A sample with some changes, or the head of one and the tail of another. */
function broken(samples: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const sample = fc.constantFrom(...samples)
  const edited = fc
    .tuple(sample, fc.array(fc.tuple(edit, fc.nat()), { maxLength: 4 }))
    .map(([input, edits]) =>
      edits.reduce((now, [change, at]) => change(now, at % (now.length + 1)), input),
    )
  const joined = fc
    .tuple(sample, sample, fc.nat(), fc.nat())
    .map(([a, b, i, j]) =>
      Buffer.concat([a.subarray(0, i % (a.length + 1)), b.subarray(j % (b.length + 1))]),
    )
  return fc.oneof({ weight: 5, arbitrary: edited }, joined)
}

/** A value of any tag, in lengths that mostly are right. */
function value(tag: number, contents: Buffer, lie: number | null): Buffer {
  const length = lie ?? contents.length
  const head =
    length < 0x80
      ? Buffer.of(length)
      : Buffer.of(0x84, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255)
  return Buffer.concat([Buffer.of(tag), head, contents])
}

const { tree } = fc.letrec<{ tree: Buffer }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6, depthSize: 'medium' },
    fc
      .tuple(
        fc.constantFrom(1, 2, 3, 4, 5, 6, 12, 19, 22, 23, 24, 30, 0x80, 0x82, 0x86, 0x87),
        bytes(24),
      )
      .map(([tag, contents]) => value(tag, contents, null)),
    fc
      .tuple(
        fc.constantFrom(0x30, 0x30, 0x31, 0xa0, 0xa1, 0xa3, 0xa4),
        fc.array(tie('tree'), { maxLength: 5 }),
        fc.option(fc.nat(), { freq: 20 }),
      )
      .map(([tag, parts, lie]) => value(tag, Buffer.concat(parts), lie)),
  ),
}))

const nested = (open: string, close: string) =>
  fc
    .integer({ min: 1, max: 20_000 })
    .map((depth) => Buffer.from(open.repeat(depth) + close.repeat(depth)))

const json: fc.Arbitrary<Buffer> = fc.oneof(
  fc.json().map((text) => Buffer.from(text)),
  fc
    .dictionary(
      fc.oneof(
        fc.constantFrom('__proto__', 'constructor', 'toString', 'length', 'event', 'id'),
        fc.string(),
      ),
      fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(1e308, -0, '\ud800', [], {}, null)),
    )
    .map((object) => Buffer.from(JSON.stringify(object))),
  fc
    .constantFrom('1e400', '-1e400', '"\\ud800"', '{"__proto__":{"version":1}}', 'null', '[]')
    .map((text) => Buffer.from(text)),
  { weight: 1, arbitrary: fc.oneof(nested('[', ']'), nested('{"a":', '}')) },
)

/** Characters that mean something in what tools print and people type. */
const text: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\n',
        '\r\n',
        ' ',
        '\t',
        '=',
        '[',
        ']',
        ':',
        ',',
        ',,',
        '.',
        '*',
        '@',
        '/',
        '%',
        '"',
        '\\',
        '\0',
        '-----BEGIN ',
        'CERTIFICATE',
        '-----',
        '-----END ',
        'Alias name: ',
        'xn--',
        '[Profile0]\n',
        'Path=',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc
        .constantFrom('\n', ' ', '=', '-', '[', '.')
        .chain((one) => fc.nat(300).map((n) => one.repeat(n))),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.from(parts.join('')))

const shapes: Readonly<Record<Shape, fc.Arbitrary<Buffer>>> = { der: tree, json, text }

/** What a parser is given: bytes of no sense, broken samples, and what only has the right shape. */
export function inputsOf(samples: readonly Buffer[], shape: Shape): fc.Arbitrary<Buffer> {
  return fc.oneof(
    { weight: 1, arbitrary: bytes(300) },
    { weight: 6, arbitrary: broken(samples) },
    { weight: 3, arbitrary: shapes[shape] },
  )
}

const repeated = [
  ...[
    '-----BEGIN X-----\n',
    '-----BEGIN CERTIFICATE-----\nAA\n',
    '-----BEGIN ',
    '-----',
    '\n',
    ' ',
    '=',
  ],
  ...[
    '[',
    ']',
    '"',
    '"\\"',
    '\\',
    ',',
    'a,',
    '.',
    ':',
    '/',
    '*.',
    '1',
    'xn--',
    'a=b\n',
    '{"a":',
    '["",',
  ],
  ...[
    'Alias name: a\n',
    'Fingerprint (SHA-256):\n',
    '\x30\x80',
    '\x05\x00',
    '\x30\x84\x00\x10\x00\x00',
  ],
]
const openings = [
  '',
  'Fingerprint (SHA-256):',
  'Certificate(has private key):\n    Fingerprint (SHA-256):',
]
const mebibytes = 2

/**
 * A parser that is quadratic in the length of its input takes minutes or hours for each of these,
 * and any other a part of a second.
 */
export function* longInputs(): Generator<Buffer> {
  for (const opening of openings)
    for (const part of opening === '' ? repeated : ['\n', ' ']) {
      const times = Math.floor((mebibytes * 2 ** 20) / part.length)
      yield Buffer.from(`${opening}${part.repeat(times)}x`, 'latin1')
    }
}
