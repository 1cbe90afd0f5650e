import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import * as library from '../../src/index.ts'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import rootling from '../../src/vite/index.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// A program without types can pass anything.
type Untyped = Readonly<Record<string, (...values: readonly unknown[]) => unknown>>
const untyped = library as unknown as Untyped

/** Returns the sentence and the hint of a call that must fail with a RootlingError. */
async function refusal(call: () => unknown): Promise<readonly [string, string | undefined]> {
  const error = await (async () => call())().then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof RootlingError)) throw error
  expect(error.code).toBe('usage')
  return [error.message, error.hint]
}

const certificateNames = "certificateFor(['localhost', '127.0.0.1', '::1'])"

test.each([
  [undefined, 'names must be a string or an array of strings, not undefined.'],
  [null, 'names must be a string or an array of strings, not null.'],
  [5, 'names must be a string or an array of strings, not 5.'],
  [new Set(['localhost']), 'names must be a string or an array of strings, not an object.'],
  [['localhost', 5], 'names[1] must be a string, not 5.'],
  [Array(1), 'names[0] must be a string, not undefined.'],
  [[], 'The list of names is empty.'],
])('certificateFor refuses the names %o', async (names, sentence) => {
  expect(await refusal(() => untyped['certificateFor']?.(names))).toEqual([
    sentence,
    certificateNames,
  ])
})

const home = "home: path.resolve('state')"
const allOfCertificate = 'The options are keyType, days, revocationUrl, home and now'

test.each([
  [null, 'The options of certificateFor must be an object, not null.', allOfCertificate],
  ['x', "The options of certificateFor must be an object, not 'x'.", allOfCertificate],
  [{ day: 30 }, 'certificateFor has no option day.', 'Did you mean days?'],
  [{ passphrase: 1 }, 'certificateFor has no option passphrase.', allOfCertificate],
  [{ days: 0 }, 'days must be a whole number from 1 to 825, not 0.', 'days: 397'],
  [{ days: '30' }, "days must be a whole number from 1 to 825, not '30'.", 'days: 397'],
  [
    { keyType: 'rsa' },
    "keyType must be 'p256', 'p384', 'rsa2048', 'rsa3072', 'rsa4096' or 'ed25519', not 'rsa'.",
    "keyType: 'p256'",
  ],
  [
    { revocationUrl: 'https://a.test' },
    "revocationUrl must be an http:// URL or false, not 'https://a.test'.",
    "revocationUrl: 'http://localhost:14680'",
  ],
  [{ home: 5 }, 'home must be a string, not 5.', home],
  [{ home: 'state' }, 'home must be an absolute path, not state.', home],
  [{ now: new Date() }, 'now must be a function, not an object.', 'now: () => new Date()'],
])('certificateFor refuses the options %o', async (options, sentence, hint) => {
  expect(await refusal(() => untyped['certificateFor']?.('localhost', options))).toEqual([
    sentence,
    hint,
  ])
})

const serverCall = "createServer({ names: ['localhost', '::1'] }, (request, response) => {})"
const listener = (): undefined => undefined

test.each([
  [['localhost'], "createServer takes its names in an object, not 'localhost' alone.", serverCall],
  [[{ name: 'a.test' }], 'createServer has no option name.', 'Did you mean names?'],
  [
    [{ port: 8443 }],
    'createServer has no options port and host.',
    "server.listen(8443, 'localhost')",
  ],
  [[{ http2: 'yes' }], "http2 must be true or false, not 'yes'.", 'http2: true'],
  [
    [{ server: { cert: '' } }],
    'server.cert is not an option: createServer sets it.',
    "For a certificate of your own, use createServer of 'node:https'",
  ],
  [[{}, 5], 'listener must be a function, not 5.', serverCall],
  [[listener, {}], 'createServer takes the options before the listener.', serverCall],
  [
    [{ names: null }],
    'names must be a string or an array of strings, not null.',
    "createServer({ names: ['localhost', '127.0.0.1', '::1'] })",
  ],
])('createServer refuses %o', async (values, sentence, hint) => {
  expect(await refusal(() => untyped['createServer']?.(...values))).toEqual([sentence, hint])
})

test.each([
  ['secureContextFor', [], 'names must be a string or an array of strings, not undefined.'],
  ['secureContextFor', ['localhost', { tls: 1 }], 'tls must be an object, not 1.'],
  ['clientCertificateFor', [[]], 'The list of names is empty.'],
  ['clientCertificateFor', ['ada', { cn: 'x' }], 'clientCertificateFor has no option cn.'],
  [
    'inspect',
    ['a.p12', { password: 12_345 }],
    'password must be a string, not of the type number.',
  ],
  [
    'diagnose',
    [{ urls: 'localhost' }],
    "urls must be an array of strings or URLs, not 'localhost'.",
  ],
  ['diagnose', [{ cwd: '/nope' }], "cwd must be a directory that there is, not '/nope'."],
  ['environmentFor', [{ env: {} }], 'environmentFor has no option env.'],
  [
    'trustInProcess',
    [undefined, null],
    'The options of trustInProcess must be an object, not null.',
  ],
  ['trustStatus', [{ stores: 'nss' }], "stores must be an array, not 'nss'."],
  ['trust', [{ sudo: 'yes' }], "sudo must be true or false, not 'yes'."],
  ['trust', [{ storeScope: 'all' }], "storeScope must be 'user' or 'system', not 'all'."],
])('%s refuses %o', async (name, values, sentence) => {
  const [said, hint] = await refusal(() => untyped[name]?.(...values))
  expect(said).toBe(sentence)
  expect(hint).toBeDefined()
})

test.each([
  ['certificateFor', 'a.test b.test', 'Give each name by itself'],
  ['certificateFor', 'a.test,b.test', 'Give each name by itself'],
  ['clientCertificateFor', 'Ada Lovelace', 'Give it as the subject: CN=Ada Lovelace'],
  ['clientCertificateFor', 'CN=ada', 'Give it as the subject: CN=ada'],
])('%s says how to give %s', async (name, given, hint) => {
  const options = { home: join(await temporaryDirectory(), 'state') }
  await expect(untyped[name]?.(given, options)).rejects.toMatchObject({ code: 'bad-name', hint })
})

test('an option that is undefined counts as absent', async () => {
  const options = {
    home: join(await temporaryDirectory(), 'state'),
    days: undefined,
    day: undefined,
  }
  expect(await untyped['certificateFor']?.('localhost', options)).toHaveProperty('cert')
})

test('the plugin of Vite takes one name as a text, and refuses what is no option', async () => {
  const plugin = rootling as (options: unknown) => unknown
  expect(plugin({ names: 'shop.test' })).toHaveProperty('name', 'rootling')
  expect(await refusal(() => plugin({ host: 'a.test' }))).toEqual([
    'rootling has no option host.',
    'Did you mean home?',
  ])
  const [relative] = await refusal(() => plugin({ home: 'state' }))
  expect(relative).toBe("home must be an absolute path, not 'state'.")
})

test('rootling/test refuses values of another type', async () => {
  const make = ephemeralAuthority as (options: unknown) => Promise<unknown>
  expect(await refusal(() => make({ permited: ['a.test'] }))).toEqual([
    'ephemeralAuthority has no option permited.',
    'Did you mean permitted?',
  ])
  const ca = (await ephemeralAuthority()) as unknown as Untyped
  const sentences = [
    await refusal(() => ca['certificate']?.(null)),
    await refusal(() => ca['certificate']?.('localhost', { notAfter: '2030-01-31' })),
    await refusal(() => ca['certificate']?.('localhost', { days: 3 })),
    await refusal(() => ca['clientCertificate']?.()),
    await refusal(() => ca['environment']?.(null)),
    await refusal(() => ca['revoke']?.(null)),
  ].map(([sentence]) => sentence)
  expect(sentences).toEqual([
    'names must be a string or an array of strings, not null.',
    "notAfter must be a Date, not '2030-01-31'.",
    'certificate has no option days.',
    'names must be a string or an array of strings, not undefined.',
    'env must be an object, not null.',
    'certificate must be an object, not null.',
  ])
})
