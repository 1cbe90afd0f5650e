import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { restrictToUser } from '../../../platform/windows/acl.ts'
import { createWindows } from '../simulators/machine.ts'

const sid = 'S-1-5-21-1004336348-1177238915-682003330-1001'

function makeFile() {
  const machine = createWindows()
  onTestFinished(() => machine.remove())
  const file = path.join(machine.directory, 'issuer.key')
  writeFileSync(file, 'a key')
  return { machine, file, run: machine.query.bind(machine) }
}

test.each([
  ['file', 'F'],
  ['directory', '(OI)(CI)F'],
] as const)('leaves a %s to the user alone', async (kind, right) => {
  const { machine, file, run } = makeFile()
  await restrictToUser(file, kind, {}, run)
  expect(machine.readState('acl')).toEqual({ [file]: { inherited: [], granted: { [sid]: right } } })
})

test('says so when icacls refuses', async () => {
  const { file, run } = makeFile()
  await expect(restrictToUser(`${file}.gone`, 'file', {}, run)).rejects.toMatchObject({
    code: 'tool-failed',
    message: 'icacls ended with exit code 2: The system cannot find the file specified.',
  })
})
