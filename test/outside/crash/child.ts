import { parseArgs } from 'node:util'
import { ensureAuthority, permitScope } from '../../../src/authority/create.ts'
import { deleteAuthority, forgetScope } from '../../../src/authority/delete.ts'
import { makeCrl } from '../../../src/certificates/crl.ts'
import { issue } from '../../../src/certificates/issue.ts'
import { renew } from '../../../src/certificates/renew.ts'
import { revoke } from '../../../src/certificates/revoke.ts'
import { RootlingError } from '../../../src/errors.ts'
import { compactWhereWorthwhile } from '../../../src/storage/files/compact.ts'
import { readRecord } from '../../../src/storage/files/record.ts'
import {
  beginRotation,
  finishRotation,
  renewRotated,
  switchRotation,
} from '../../../src/trust/rotate.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

// One process that creates, permits, issues, rotates or revokes, to be killed or to race others.
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: 'string', default: '' },
    out: { type: 'string', default: '' },
    count: { type: 'string', default: '1' },
  },
})
const state = { path: values.state, owner: null }
const [command = '', ...names] = positionals
const now = new Date()
process.stdout.write('ready\n')
try {
  for (let i = 0; i < Number(values.count); i++) await work()
} catch (error) {
  if (!(error instanceof RootlingError)) throw error
  // As the command says it, which has trust stores to ask before.
  process.stderr.write(`Error: ${error.message} (${error.code})\n`)
  process.exitCode = 1
}

async function work(): Promise<void> {
  switch (command) {
    case 'create':
      await ensureAuthority(state, now)
      return
    case 'permit':
      await permitScope(state, { permit: names }, now)
      return
    case 'issue': {
      await ensureAuthority(state, now)
      const { record } = await issue(state, { names, files: { outDir: values.out } }, now)
      process.stdout.write(`issued ${record.serialNumber}\n`)
      return
    }
    case 'renew':
    case 'rekey':
      await renew(state, { which: 'all' }, { rekey: command === 'rekey' }, now)
      return
    case 'rotate':
    case 'harden': {
      const harden = command === 'harden' ? true : undefined
      const rotation = await beginRotation(state, 'local', now, harden)
      const switched = rotation.switched ? rotation : await switchRotation(state, rotation)
      await renewRotated(state, switched, now)
      await finishRotation(state, switched)
      process.stdout.write('rotated\n')
      return
    }
    case 'forget':
      for (const name of names) await forgetScope(state, name)
      return
    case 'compact':
      await compactWhereWorthwhile(state, now, 0)
      return
    case 'delete':
      await deleteAuthority(state)
      return
    case 'revoke':
      for (const { serialNumber } of await readRecord(state)) {
        const { changed } = await revoke(fileStorage(state), { target: serialNumber, now })
        if (changed) process.stdout.write(`revoked ${serialNumber}\n`)
        await makeCrl(fileStorage(state), 'local', now)
      }
      return
    default:
      throw new Error(`unknown command ${command}`)
  }
}
