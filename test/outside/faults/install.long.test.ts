import { expect, test } from 'vitest'
import { command } from '../../helpers/built.ts'
import { rootlingIn, summary, type Answer } from '../../helpers/rootling.ts'
import { namespaceUnavailable, type Namespace } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { long, tally } from '../../helpers/long.ts'

const unavailable = namespaceUnavailable()
const note = unavailable === null ? '' : ` (skipped: ${unavailable})`
const kills = long ? 40 : 2

test.skipIf(unavailable !== null)(
  `install survives ${kills} kills: one authority, stores as status says, and the next install ends it${note}`,
  { timeout: 900_000 + kills * 600_000 },
  async () => {
    const namespace = await testNamespace()
    const { json } = rootlingIn(namespace)
    const begun = performance.now()
    const first = await json(['install', '--yes'])
    const longest = performance.now() - begun
    expect(first.exitCode, first.stderr).toBe(0)
    await json(['uninstall', '--yes'])
    const fingerprints = new Set((first.answer.scopes ?? []).map((one) => one.fingerprint))
    for (let i = 0; i < kills; i++) {
      const seconds = String((Math.random() * longest) / 1_000)
      const line = [process.execPath, command, 'install', '--yes']
      // With all that it has started; `timeout` then ends by the same signal, which counts as 137.
      await namespace.run('timeout', ['--signal=KILL', seconds, ...line])
      const { answer } = await json(['status'])
      await expectTruth(namespace, answer)
      const again = await json(['install', '--yes'])
      expect(again.exitCode, again.stderr).toBe(0)
      for (const { fingerprint } of again.answer.scopes ?? []) fingerprints.add(fingerprint)
      expect(again.answer.scopes).toHaveLength(1)
      const whole = await json(['status'])
      expect(whole.exitCode).toBe(0)
      await expectTruth(namespace, whole.answer)
      const removed = await json(['uninstall', '--yes'])
      expect(removed.exitCode, removed.stderr).toBe(0)
      expect(summary(removed.answer).filter((one) => /failed/.test(one))).toEqual([])
    }
    expect(fingerprints.size).toBe(1)
    tally('kills of install', kills)
  },
)

/** What `status` says of the stores is what is in them: looked for by the root's DER. */
async function expectTruth(
  namespace: Namespace,
  { scopes = [], stores = [] }: Answer,
): Promise<void> {
  const [scope] = scopes
  if (scope === undefined) return
  const root = await namespace.readFile(scope.rootPath)
  const places = await findRoot(namespace, root ?? '')
  const holders: readonly [title: RegExp, place: RegExp][] = [
    [/^System store/, /^\/etc\/ssl\/certs\/ca-certificates\.crt$/],
    [/^Chromium/, /^nss:/],
    [/^Java \(\/etc\/ssl/, /^java:\/etc\/ssl/],
  ]
  for (const [title, place] of holders) {
    const row = stores.find(({ store }) => title.test(store.title))
    const holds =
      places.some((one) => place.test(one)) ||
      (title.test('System store') && (await isFoundByHash(namespace, scope.rootPath)))
    // A database that the next install makes is not listed before.
    expect([title, row?.outcome === 'trusted']).toEqual([title, holds])
  }
}

/** Whether OpenSSL finds the root by its hash: a client that trusts it, whatever the bundle holds. */
async function isFoundByHash(namespace: Namespace, root: string): Promise<boolean> {
  const args = ['verify', '-no-CAfile', '-CApath', '/etc/ssl/certs', root]
  return (await namespace.run('openssl', args)).exitCode === 0
}
