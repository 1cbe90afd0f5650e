import { parseArgs } from 'node:util'
import { issue } from '../../src/issue.ts'
import { exclusively, settleInterrupted } from '../../src/pending.ts'
import { renew } from '../../src/renew.ts'
import { ensureAuthority, permitScope } from '../../src/scopes.ts'

// One process that creates, permits, issues or settles, to be killed or to race others.
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
for (let i = 0; i < Number(values.count); i++) {
  switch (command) {
    case 'create':
      await ensureAuthority(state, now)
      break
    case 'permit':
      await permitScope(state, { permit: names }, now)
      break
    case 'issue': {
      await ensureAuthority(state, now)
      const { record } = await issue(state, { names, files: { outDir: values.out } }, now)
      process.stdout.write(`issued ${record.serialNumber}\n`)
      break
    }
    case 'renew':
    case 'rekey':
      await renew(state, { which: 'all' }, { rekey: command === 'rekey' }, now)
      break
    case 'settle':
      await settleInterrupted(state)
      // A creation that died leaves nothing pending: any command that writes sweeps after it.
      await exclusively(state, async () => undefined)
      break
    default:
      throw new Error(`unknown command ${command}`)
  }
}
