import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { writeJks } from '../../platform/java/jks.ts'
import type { TrustStore } from '../../platform/trust-store.ts'
import { checkEnvironment } from '../../src/doctor/checks/environment.ts'
import { clientVerdicts } from '../../src/doctor/clients.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import type { StoreOutcome } from '../../src/trust/stores.ts'
import { makeWorld, type World } from '../helpers/authority.ts'
import { knownOf } from './known.ts'

const root = { scope: 'local', isPublic: false, heldBy: [], foreign: [] } as const

/** A machine whose stores, of the system and of Java, all trust the root. */
const trusting = ({ scope }: World): readonly StoreOutcome[] =>
  ['system:debian', 'java:/etc/cacerts'].map((id) => ({
    store: { id, title: id } as TrustStore,
    outcome: 'trusted',
    anchor: anchorOf(scope).name,
  }))

test('advises for Node what keeps the roots that NODE_EXTRA_CA_CERTS names already', async () => {
  const world = await makeWorld()
  const env = { NODE_EXTRA_CA_CERTS: world.path('intermediate.pem') }
  const verdicts = await clientVerdicts([], root, knownOf(world, env, { programs: ['node'] }))
  expect(verdicts.find(({ client }) => client === 'Node')).toMatchObject({
    accepts: false,
    why: ['No variable gives it the root.'],
    cause: 'root',
    command: 'eval "$(rootling env)"',
  })
})

test('has no verdict of a client that would refuse and is not on this machine', async () => {
  const world = await makeWorld()
  const verdicts = await clientVerdicts([], root, knownOf(world, {}, { outcomes: trusting(world) }))
  const of = (name: string) => verdicts.find(({ client }) => client === name)
  expect(of('Node')).toMatchObject({ accepts: null, why: [], cause: null })
  // One that would accept accepts, also where the program is put on this machine later.
  expect(of('Go')).toMatchObject({ accepts: true })
})

test('judges each client by the variables that it reads in place of the system’s roots', async () => {
  const world = await makeWorld()
  const [root_, other] = [world.path('root.pem'), world.path('intermediate.pem')]
  const [gone, good, bad] = [world.path('gone.pem'), world.path('good'), world.path('bad')]
  for (const [directory, der] of [
    [good, world.scope.root],
    [bad, world.scope.intermediate],
  ] as const) {
    mkdirSync(directory)
    writeFileSync(`${directory}/01234567.0`, der.toString())
  }
  const programs = ['curl', 'openssl', 'git', 'wget', 'go']
  const refusing = async (env: Readonly<Record<string, string>>, outcomes = trusting(world)) => {
    const verdicts = await clientVerdicts([], root, knownOf(world, env, { programs, outcomes }))
    return verdicts.filter(({ accepts }) => accepts === false)
  }
  const namesOf = async (env: Readonly<Record<string, string>>): Promise<string[]> =>
    (await refusing(env)).map(({ client }) => client)
  const openssl = 'OpenSSL, Python, Ruby'
  expect(await namesOf({})).toEqual([])
  expect(await namesOf({ SSL_CERT_FILE: root_, SSL_CERT_DIR: bad })).toEqual([])
  expect(await namesOf({ SSL_CERT_FILE: other, SSL_CERT_DIR: good })).toEqual([])
  expect(await namesOf({ SSL_CERT_FILE: gone, SSL_CERT_DIR: bad })).toEqual([openssl, 'Go'])
  // curl reads one of its variables alone, and stops where it cannot read a file.
  expect(await namesOf({ SSL_CERT_FILE: gone, SSL_CERT_DIR: good })).toEqual([])
  expect(await namesOf({ CURL_CA_BUNDLE: gone, SSL_CERT_FILE: root_ })).toEqual(['curl'])
  expect(await namesOf({ CURL_CA_BUNDLE: root_, SSL_CERT_FILE: root_ })).toEqual([])
  expect(await namesOf({ GIT_SSL_CAINFO: gone })).toEqual(['git'])
  expect(await namesOf({ GIT_SSL_CAINFO: '', GIT_SSL_CAPATH: good })).toEqual([])
  expect(await refusing({ GIT_SSL_CAINFO: other, GIT_SSL_CAPATH: bad })).toMatchObject([
    {
      client: 'git',
      why: [
        `GIT_SSL_CAINFO names ${other}, which lacks the root. To use the roots of the system: unset GIT_SSL_CAINFO`,
      ],
      command: 'unset GIT_SSL_CAINFO',
      cause: 'told',
    },
  ])
  // A store that lacks the root is the reason, but for a client that stops before.
  const none = await refusing({ SSL_CERT_FILE: other, CURL_CA_BUNDLE: gone }, [])
  expect(none.map(({ client, why }) => [client, why[0]])).toEqual([
    [
      'curl',
      `CURL_CA_BUNDLE names ${gone}, from which no certificate can be read. To use the roots of the system: unset CURL_CA_BUNDLE`,
    ],
  ])
})

test.each(['JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', '_JAVA_OPTIONS'])(
  'judges Java by the keystore that %s names',
  async (variable) => {
    const world = await makeWorld()
    const outcomes = trusting(world)
    const keystore = (name: string, der: Buffer): string => {
      writeFileSync(world.path(name), writeJks([{ alias: 'a', der }], 'secret'))
      return world.path(name)
    }
    const whole = keystore('whole store.jks', world.scope.root.raw)
    const lacking = keystore('lacking.jks', world.scope.intermediate.raw)
    writeFileSync(world.path('text.jks'), 'no keystore')
    const judge = async (options: string) => {
      const known = knownOf(world, { [variable]: options }, { outcomes })
      const java = (await clientVerdicts([], root, known)).find(({ client }) => client === 'Java')
      return { java, findings: (await checkEnvironment(known)).findings }
    }
    for (const options of [
      '-Xmx1g',
      `-Xmx1g "-Djavax.net.ssl.trustStore=${whole}"`,
      `-Djavax.net.ssl.trustStore='${whole}' -Djavax.net.ssl.trustStorePassword=secret`,
      '-Djavax.net.ssl.trustStore=NONE -Djavax.net.ssl.trustStoreType=Windows-ROOT',
    ])
      expect(await judge(options)).toMatchObject({ java: { accepts: true }, findings: [] })
    for (const [file, reason] of [
      [lacking, 'it lacks the root'],
      [world.path('gone.jks'), 'it is not there'],
      [world.directory, 'it is no file'],
      [world.path('text.jks'), 'only keytool, which is not there, can read it'],
      [`${whole}" "-Djavax.net.ssl.trustStorePassword=wrong`, 'only keytool'],
    ] as const)
      expect(await judge(`"-Djavax.net.ssl.trustStore=${file}"`)).toMatchObject({
        java: {
          accepts: false,
          why: [`${variable} names a keystore that lacks the root.`],
          cause: 'told',
        },
        findings: [
          {
            code: 'java-options-replace-roots',
            subject: variable,
            severity: 'error',
            sentence: expect.stringContaining(reason),
          },
        ],
      })
  },
)

test('lets _JAVA_OPTIONS win over JAVA_TOOL_OPTIONS, as Java does', async () => {
  const world = await makeWorld()
  const file = world.path('whole.jks')
  writeFileSync(file, writeJks([{ alias: 'a', der: world.scope.root.raw }], 'changeit'))
  const option = (path: string): string => `-Djavax.net.ssl.trustStore=${path}`
  const env = { JAVA_TOOL_OPTIONS: option('/etc/gone.jks'), _JAVA_OPTIONS: option(file) }
  expect((await checkEnvironment(knownOf(world, env))).findings).toEqual([])
})
