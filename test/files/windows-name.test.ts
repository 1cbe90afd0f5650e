import { expect, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { fileBase, resolvePaths } from '../../src/certificates/output-files.ts'
import { fileName, isDeviceName } from '../../src/files/windows-name.ts'
import { stateDirectory } from '../../src/home/state-directory.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { callItWindows } from '../helpers/windows-files.ts'

const devices = [
  'nul',
  'NUL.localhost.pem',
  'con',
  'con.tar.gz',
  'Com1.test',
  'lpt9',
  'com¹',
  'aux .x',
  'prn',
]

test.each(devices)('knows that %s is a device', (name) => {
  expect(isDeviceName(name)).toBe(true)
})

test.each(['null.test', 'console', 'com10', 'com', 'a.nul', 'nul-key.pem', 'xcon.pem'])(
  'knows that %s is a file',
  (name) => {
    expect(isDeviceName(name)).toBe(false)
    expect(fileName(name, 'win32')).toBe(name)
  },
)

test('gives the files of such a certificate a name that Windows takes for files', () => {
  const of = (value: string) => ({
    identifiers: [{ type: 'dns', value } as const],
    purpose: 'server' as const,
  })
  expect(fileBase(of('nul.localhost'))).toBe('nul.localhost')
  callItWindows()
  expect(fileBase(of('nul.localhost'))).toBe('_nul.localhost')
  expect(fileBase(of('con'))).toBe('_con')
  expect(fileBase(of('https://x.test/?a="b"|c'))).toBe('https___x.test__a=_b__c')
  expect(fileBase(of('localhost'))).toBe('localhost')
})

test('refuses a file that is a device, with a name that is none', async () => {
  const [state, outDir] = [await temporaryState(), await temporaryDirectory()]
  callItWindows()
  await expect(
    resolvePaths('x', { outDir, certPath: `${outDir}/aux.pem` }, true, state),
  ).rejects.toMatchObject({
    code: 'state-unwritable',
    message: `${outDir}/aux.pem is a device of Windows, not a file.`,
    hint: `Name another file: ${outDir}/_aux.pem`,
  })
})

test('refuses a scope and an authority with such a name on every system', async () => {
  const state = await temporaryState()
  const permit = permitScope(state, { permit: ['dev.example.com'], name: 'nul' }, new Date())
  await expect(permit).rejects.toMatchObject({
    code: 'usage',
    message: 'nul is a device of Windows, so it cannot name a scope.',
  })
  await expect(stateDirectory({ ROOTLING_HOME: '/x' }, null, 'con')).rejects.toThrow(
    '--ca con is the name of a device of Windows.',
  )
})
