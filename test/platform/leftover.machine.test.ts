import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespaceUnavailable, openNamespace, type Namespace } from '../helpers/namespace.ts'
import { createAuthority, rootlingIn, summary, type Rootling } from '../helpers/rootling.ts'

const missing = namespaceUnavailable()

describe.skipIf(missing !== null)(
  `a machine with another system's directory${missing ?? ''}`,
  () => {
    let namespace: Namespace
    let rootling: Rootling

    beforeAll(async () => {
      namespace = await openNamespace()
      rootling = rootlingIn(namespace)
      await createAuthority(namespace)
      // As a package leaves it that was made for Fedora.
      await namespace.must('mkdir', ['-p', '/etc/pki/ca-trust/source/anchors'])
    })

    afterAll(() => namespace?.close())

    test('keeps its roots where its own program reads them', async () => {
      const { exitCode, answer } = await rootling.json(['install', '--yes', '--stores', 'system'])
      expect(summary(answer)).toEqual(['system installed'])
      expect(exitCode).toBe(0)
      const store = answer.stores?.[0]?.store.id
      expect(store).toBe('system:/usr/local/share/ca-certificates')
      await rootling.must(['uninstall', '--yes', '--stores', 'system'])
    })

    test('says how a program comes to an image that dnf cannot change', async () => {
      await namespace.must('sh', ['-c', 'mkdir -p ~/.pki/nssdb && touch /run/ostree-booted'])
      await namespace.must('certutil', [
        '-N',
        '--empty-password',
        '-d',
        `sql:${namespace.home}/.pki/nssdb`,
      ])
      await namespace.must('mount', ['--bind', '/dev/null', '/usr/bin/certutil'])
      const { stderr } = await rootling.run(['install', '--dry-run', '--stores', 'nss'])
      expect(stderr).toContain('→ rpm-ostree install nss-tools, and restart')
      await namespace.must('sh', ['-c', 'umount /usr/bin/certutil && rm /run/ostree-booted'])
    })

    test('without that program, a dry run says why the store would fail', async () => {
      await namespace.must('mount', ['--bind', '/dev/null', '/usr/sbin/update-ca-certificates'])
      const { exitCode, stdout, stderr } = await rootling.run([
        'install',
        '--dry-run',
        ...['--stores', 'system'],
      ])
      expect(exitCode).toBe(3)
      expect(stdout).toBe('')
      expect(stderr).toMatch(/^System store \(.*\) would fail: .*\n {2}→ ./m)
    })
  },
)
