import { writeFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../acme/raw.ts'
import { obtain, startResponder } from '../acme/responder.ts'
import { freePort } from '../helpers/free-port.ts'
import { terminate, waitFor } from '../helpers/subprocess.ts'
import { hasSoftHsm, openToken, skippedHsm } from './soft-hsm.ts'
import { useTeam } from './team.ts'

const team = useTeam()

test(
  `the keys of a team move to another passphrase and into a module, and servers notice${skippedHsm}`,
  { timeout: 900_000 },
  async () => {
    const { owner, serving, grant } = await team.database()
    const init = ['server', 'init', '--database', owner, '--permit', 'localhost', '--force']
    const made = await team.json([...init, ...grant, ...team.keyFile()])
    await writeFile(team.file('new'), 'another horse battery\n', { mode: 0o600 })
    await writeFile(team.file('wrong'), 'incorrect horse battery\n', { mode: 0o600 })
    const responder = await startResponder()
    onTestFinished(() => responder.close())
    const url = `https://localhost:${await freePort()}`
    const options = ['--http01-port', String(responder.port)]
    const eab = (name: string, word: string) =>
      team.json(['server', 'eab', word, '--socket', team.file(`${name}.sock`)])

    /** Starts a replica, has it issue, and returns it. */
    const serve = async (name: string, key: readonly string[], env = {}) => {
      const replica = await team.startReplica(serving, url, name, [...options, ...key], env)
      const at = `https://localhost:${replica.port}`
      const client = new RawClient(`${at}/acme/directory`, String(made['root']))
      onTestFinished(() => client.close())
      const send = client.send.bind(client)
      client.send = (method, to, ...rest) => send(method, to.replace(url, at), ...rest)
      await client.start()
      const { chain } = await obtain(client, [`${name}.localhost`], responder)
      expect(chain).toContain('BEGIN CERTIFICATE')
      return replica
    }
    /** Waits for a replica to notice that it cannot open the keys any more. */
    const ended = async ({ child, log }: Awaited<ReturnType<typeof serve>>): Promise<void> => {
      await waitFor('the end of the replica', () => child.exitCode)
      expect(child.exitCode).toBe(1)
      expect(log()).toContain('"event":"keys lost"')
      expect(log()).toContain('The keys in the database were sealed anew')
    }
    const line = ['server', 'rekey', '--database']
    const toNew = ['--new-passphrase-file', team.file('new')]

    const first = await serve('first', team.keyFile())
    const { kid } = await eab('first', 'create')
    const serves = await team.rootling([...line, serving, ...team.keyFile(), ...toNew])
    expect(serves).toMatchObject({ exitCode: 2 })
    expect(serves.stderr).toContain('URL-OF-THE-OWNER')
    const wrong = ['--passphrase-file', team.file('wrong')]
    const refused = await team.rootling([...line, owner, ...wrong, ...toNew])
    expect(refused).toMatchObject({ exitCode: 1 })
    expect(refused.stderr).toContain('The passphrase does not open')
    const nothing = await team.rootling([...line, owner, ...team.keyFile()])
    expect(nothing).toMatchObject({ exitCode: 2 })
    expect(first.child.exitCode).toBeNull()

    // The key of the authority, the secret of nonces and the key for account binding.
    expect(await team.json([...line, owner, ...team.keyFile(), ...toNew])).toMatchObject({
      changed: true,
      secrets: 3,
    })
    expect(await team.json([...line, owner, ...team.keyFile(), ...toNew])).toMatchObject({
      changed: false,
    })
    await ended(first)
    const start = ['server', '--database', serving, '--url', url, '--port', '0']
    const old = await team.rootling([...start, ...team.keyFile()])
    expect(old.stderr).toContain('The passphrase does not open')
    const second = await serve('second', ['--passphrase-file', team.file('new')])
    expect((await eab('second', 'list'))['keys']).toMatchObject([{ id: kid }])
    if (!hasSoftHsm) return

    const { env, uriOf } = await openToken()
    const key = ['--passphrase-file', team.file('new')]
    const moved = [...line, owner, ...key, '--new-key-pkcs11', uriOf()]
    expect(await team.json(moved, env)).toMatchObject({ changed: true, secrets: 3 })
    await ended(second)
    const third = await serve('third', ['--key-pkcs11', uriOf()], env)
    expect((await eab('third', 'list'))['keys']).toMatchObject([{ id: kid }])
    // Another key of the module.
    const other = ['--key-pkcs11', uriOf(), '--new-key-pkcs11', uriOf('object=other')]
    expect(await team.json([...line, owner, ...other], env)).toMatchObject({ changed: true })
    await ended(third)
    await terminate((await serve('fourth', ['--key-pkcs11', uriOf('object=other')], env)).child)
    const back = ['--key-pkcs11', uriOf('object=other'), ...toNew]
    expect(await team.json([...line, owner, ...back], env)).toMatchObject({ changed: true })
    const wrapped = "select count(*) from rootling.secret where name = 'wrapped passphrase'"
    expect((await team.postgres.server.psql(owner, wrapped)).trim()).toBe('0')
    const audit = await team.json(['server', 'audit', 'verify', '--database', serving])
    expect(audit).toMatchObject({ faults: [] })
  },
)
