import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { namespaceUnavailable, type Namespace } from '../helpers/namespace.ts'
import { rootlingIn, storeTrees } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'

const obstacle = namespaceUnavailable() ?? (await notInstalled('script'))
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

/** A private machine whose stores trust the scopes `local` and `work`, each with a certificate. */
async function open() {
  const namespace = await testNamespace()
  const rootling = rootlingIn(namespace)
  const state = join(namespace.home, '.local/share/rootling')
  await rootling.must(['install', '--yes', '--stores', 'system'])
  await rootling.must(['ca', 'permit', 'a.example.com', '--name', 'work', '--yes'])
  const out = ['--out-dir', namespace.home]
  await rootling.must(['issue', 'shop.test', ...out])
  await rootling.must(['issue', 'hook.test', '--on-renew', 'true', ...out])
  await rootling.must(['ca', 'path'])
  const everything = async () => [await storeTrees(namespace), await namespace.readTree(state)]
  return { namespace, rootling, state, everything }
}

/** Runs a command on a terminal, where the person types `input`. */
const onTerminal = (namespace: Namespace, line: string, input: string) =>
  namespace.run('script', ['-qec', `${process.execPath} ${command} ${line}`, '/dev/null'], {
    input,
  })

interface Plan {
  readonly plan: {
    readonly old: { readonly fingerprint: string }
    readonly next: { readonly permitted: readonly string[]; readonly fingerprint: null }
    readonly renewals: readonly { readonly serialNumber: string }[]
    readonly reload: readonly string[]
    readonly updated: readonly string[]
  }
  readonly commands: readonly string[]
}

interface Done {
  readonly renewed: readonly { readonly certPath: string }[]
  readonly reload: readonly string[]
  readonly updated: readonly string[]
  readonly stale: readonly string[]
}

describe.skipIf(obstacle !== null)(`ca rotate and ca permit --add${skipNote}`, () => {
  test.each([
    ['ca rotate', ['ca', 'rotate'], [] as string[]],
    [
      'ca permit --add',
      ['ca', 'permit', 'c.example.net', '--name', 'work', '--add'],
      ['a.example.com', 'c.example.net'],
    ],
  ])(
    '%s: a dry run changes nothing, a no changes nothing, and a yes does it',
    async (_, line, names) => {
      const { namespace, rootling, everything } = await open()
      const before = await everything()

      const words = await rootling.must([...line, '--dry-run'])
      expect(words.stdout).toContain('takes the new root, then gives up the old one')
      expect(words.stdout).toContain('update-ca-certificates')
      const said = await rootling.must([...line, '--dry-run', '--json'])
      const { plan, commands } = JSON.parse(said.stdout) as Plan
      expect(plan.next).toMatchObject({ permitted: names, fingerprint: null })
      expect(commands.join('\n')).toContain('update-ca-certificates')
      expect(await everything()).toEqual(before)

      const shown = await onTerminal(namespace, `${line.join(' ')} --dry-run`, '')
      const [prose = ''] = shown.stdout.split('Commands for the trust stores:')
      expect(prose.split(/\r?\n/).filter((each) => each.length > 80)).toEqual([])

      const no = await onTerminal(namespace, line.join(' '), '\n')
      expect([no.exitCode, no.stdout]).toEqual([5, expect.stringMatching(/\? \[y\/N\]/)])
      // A terminal's lines are wrapped.
      expect(no.stdout.replace(/\s+/g, ' ')).toContain(
        'takes the new root, then gives up the old one',
      )
      expect(no.stdout).toContain('Cancelled; nothing was changed.')
      expect(await everything()).toEqual(before)

      const yes = await onTerminal(namespace, line.join(' '), 'y\n')
      expect([yes.exitCode, yes.stdout]).toEqual([0, expect.stringContaining('Rotated the scope')])
      const { scopes } = JSON.parse((await rootling.must(['ca', 'list', '--json'])).stdout) as {
        scopes: { fingerprint: string }[]
      }
      expect(scopes.map(({ fingerprint }) => fingerprint)).not.toContain(plan.old.fingerprint)
    },
  )

  test('without a terminal it asks nothing, and says what to reload, as the plan had said', async () => {
    const { namespace, rootling, state } = await open()
    const file = (name: string): string => join(namespace.home, name)
    const planned = await rootling.must(['ca', 'rotate', '--dry-run', '--json'])
    const { plan } = JSON.parse(planned.stdout) as Plan
    const done = JSON.parse((await rootling.must(['ca', 'rotate', '--json'])).stdout) as Done
    expect(done.renewed.map(({ certPath }) => certPath)).toEqual(
      ['shop.test.pem', 'hook.test.pem'].map(file),
    )
    expect(done).toMatchObject({
      finished: true,
      reload: [file('shop.test.pem')],
      updated: [join(state, 'scopes/local/root.pem'), join(state, 'roots.pem')],
      stale: [],
    })
    expect(plan).toMatchObject({ reload: done.reload, updated: done.updated })
    const { stdout, stderr } = await rootling.must(['ca', 'rotate'])
    expect(stdout + stderr).not.toContain('[y/N]')
    const [plannedReload, reload] = stderr.split('Rotated the scope local')
    for (const text of [plannedReload, reload]) {
      expect(text).toMatch(/To reload by hand (?:now|afterwards)[^\n]*\n {2}\S+shop\.test\.pem\n/)
      expect(text).toContain('rootling ca export local')
    }
    const quiet = await rootling.must(['ca', 'rotate', '--quiet'])
    expect(quiet.stderr).toBe('')
  })
})
