import { chmod, writeFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../acme/raw.ts'
import { obtain, startResponder } from '../acme/responder.ts'
import { freePort } from '../helpers/free-port.ts'
import { terminate } from '../helpers/subprocess.ts'
import { hasSoftHsm, openToken, skippedHsm } from './soft-hsm.ts'
import { fetchText, useTeam } from './team.ts'

const team = useTeam()

test.skipIf(!hasSoftHsm)(
  `the keys of a team are opened by an RSA key that never leaves its module${skippedHsm}`,
  { timeout: 900_000 },
  async () => {
    const { env, uriOf, pinFile, tool, makeKey } = await openToken()
    const { owner, serving, grant } = await team.database()
    const key = ['--key-pkcs11', uriOf()]
    const init = ['server', 'init', '--database', owner, '--permit', 'localhost', '--force']
    const made = await team.json([...init, ...grant, ...key], env)
    expect(made).toMatchObject({ created: true })
    expect(await team.json([...init, ...key], env)).toMatchObject({ created: false })

    const responder = await startResponder()
    onTestFinished(() => responder.close())
    const url = `https://localhost:${await freePort()}`
    const options = [...key, '--http01-port', String(responder.port)]
    // A restart opens the same keys, and issues.
    for (const name of ['first', 'again']) {
      const replica = await team.startReplica(serving, url, name, options, env)
      const root = String(made['root'])
      expect(await fetchText(replica.port, '/roots.pem', root)).toBe(root)
      const front = `https://localhost:${replica.port}/acme/directory`
      const client = new RawClient(front, root)
      onTestFinished(() => client.close())
      // The URLs of the server are those of a balancer; here it is asked directly.
      const to = client.send.bind(client)
      client.send = (method, at, ...rest) =>
        to(method, at.replace(url, `https://localhost:${replica.port}`), ...rest)
      await client.start()
      const { chain } = await obtain(client, [`${name}.localhost`], responder)
      expect(chain).toContain('BEGIN CERTIFICATE')
      await terminate(replica.child)
      expect(replica.log()).not.toContain('87654321')
    }

    // Neither the PIN nor the passphrase is in the database.
    const dump = await team.postgres.server.program('pg_dump', owner)
    expect(dump).not.toContain('87654321')
    expect(dump).toContain('wrapped passphrase')

    /** Starts a server that is refused, and returns what it says. */
    const refusal = async (args: readonly string[], more = env): Promise<string> => {
      const line = ['server', '--database', serving, '--url', url, '--port', '0']
      const { exitCode, stderr } = await team.rootling([...line, ...args, '--json'], more)
      expect(exitCode).not.toBe(0)
      expect(stderr).not.toContain('87654321')
      return stderr
    }
    const withUri = (...parts: Parameters<typeof uriOf>) =>
      refusal(['--key-pkcs11', uriOf(...parts)])
    expect(await withUri('object=nothing')).toContain('has no private key nothing')
    expect(await withUri('object=rootling;id=%01')).toContain('has no private key rootling id=01')
    expect(await withUri('object=rootling', pinFile, 'cb')).toContain('The module has no token cb')
    expect(await withUri('object=rootling', pinFile, 'ca', '/nowhere.so')).toContain(
      'There is no PKCS #11 module /nowhere.so',
    )
    expect(await withUri('object=rootling', pinFile, 'ca', pinFile)).toContain(
      'cannot be loaded as a PKCS #11 module',
    )
    expect(await withUri('object=other')).toContain('is not the one that the keys in the database')
    expect(await refusal([...key, ...team.keyFile()])).toContain('--key-pkcs11')
    expect(await refusal(team.keyFile())).toContain('The passphrase does not open')

    const wrong = team.file('wrong-pin')
    await writeFile(wrong, '11111111\n', { mode: 0o600 })
    expect(await withUri('object=rootling', wrong)).toContain('does not open the token ca')
    await chmod(wrong, 0o644)
    expect(await withUri('object=rootling', wrong)).toContain('Others can read the secret')
    expect(await withUri('object=rootling', team.file('no-pin'))).toContain('There is no file')

    // Two keys of one label are told apart by their IDs.
    await makeKey('rootling', '03')
    expect(await withUri()).toContain('has 2 private keys rootling')
    const chosen = ['--key-pkcs11', uriOf('object=rootling;id=%02')]
    expect(await team.json([...init, ...chosen], env)).toMatchObject({ created: false })
    await tool('--delete-object', '--type', 'privkey', '--id', '02')
    expect(await refusal(chosen)).toContain('has no private key rootling id=02')
  },
)

test.skipIf(!hasSoftHsm)(
  `an authority that was made with a passphrase, and a key that is no RSA key, are refused${skippedHsm}`,
  { timeout: 300_000 },
  async () => {
    const { env, uriOf, makeKey } = await openToken()
    const { owner } = await team.database()
    const init = ['server', 'init', '--database', owner, '--permit', 'team.internal']
    await makeKey('curve', '05', 'EC:prime256v1')
    const curve = await team.rootling([...init, '--key-pkcs11', uriOf('object=curve')], env)
    expect(curve).toMatchObject({ exitCode: 1 })
    expect(curve.stderr).toContain('The key curve is no RSA key.')
    await team.json([...init, ...team.keyFile()])
    for (const line of [
      init,
      ['server', '--database', owner, '--url', 'https://ca.team.internal', '--port', '0'],
    ]) {
      const refused = await team.rootling([...line, '--key-pkcs11', uriOf()], env)
      expect(refused).toMatchObject({ exitCode: 1 })
      expect(refused.stderr).toContain('was wrapped by a PKCS #11 module')
    }
  },
)
