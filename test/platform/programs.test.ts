import { expect, test } from 'vitest'
import { javaCollections } from '../../platform/java/installations.ts'
import { programPlaces } from '../../platform/programs.ts'
import { systemProgram } from '../../platform/windows/system-program.ts'
import { isFullPath } from '../../src/full-path.ts'

/** What Node calls absolute on Windows, although it is on whatever drive is the current one. */
const onCurrentDrive = ['\\usr\\bin', '/usr/lib/jvm', '/', 'C:', 'C:usr', '', 'usr', '///x']

test.each(onCurrentDrive)('does not take %j for a full path on Windows', (path) => {
  expect(isFullPath(path, 'win32')).toBe(false)
})

test.each(['C:\\', 'd:/x', '\\\\server\\share', '//server/share', '\\\\?\\C:\\x'])(
  'takes %j for a full path on Windows alone',
  (path) => {
    expect(isFullPath(path, 'win32')).toBe(true)
    expect(isFullPath(path, 'linux')).toBe(path.startsWith('/'))
  },
)

test('looks on Windows for its own programs first, and never below a Unix directory', () => {
  const PATH = '/usr/bin;\\tools;C:\\Program Files\\Git\\cmd;.;bin;\\\\server\\tools'
  for (const trustedOnly of [false, true])
    expect(
      programPlaces('keytool', { PATH, SystemRoot: 'D:\\Windows' }, trustedOnly, 'win32'),
    ).toEqual([
      'D:\\Windows\\System32\\keytool.exe',
      'C:\\Program Files\\Git\\cmd\\keytool.exe',
      '\\\\server\\tools\\keytool.exe',
    ])
})

test('looks on Windows for programs whose names end in .exe, and for no other file', () => {
  const bin = 'C:\\jdk\\bin\\'
  expect(programPlaces(`${bin}keytool`, {}, true, 'win32')).toEqual([`${bin}keytool.exe`])
  expect(programPlaces(`${bin}keytool.EXE`, {}, true, 'win32')).toEqual([`${bin}keytool.EXE`])
  expect(programPlaces('/snap/bin/firefox', { PATH: 'C:\\x' }, false, 'win32')).toEqual([])
})

test('looks on Linux in PATH, and for root in the directories of the system alone', () => {
  const PATH = '/opt/bin:bin::C:\\x'
  expect(programPlaces('tool', { PATH }, false, 'linux')[0]).toBe('/opt/bin/tool')
  expect(programPlaces('tool', { PATH }, true, 'linux')[0]).toBe('/usr/local/sbin/tool')
  expect(programPlaces('tool', { PATH }, false, 'linux')).not.toContain('bin/tool')
  expect(programPlaces('../tool', { PATH }, false, 'linux')).toEqual([])
})

test('looks for Java in directories of this system alone', () => {
  const windows = javaCollections('C:/Users/ada', 'win32')
  expect(windows.every((path) => path.startsWith('C:/'))).toBe(true)
  expect(windows).toContain('C:/Program Files/Java')
  const linux = javaCollections('/home/ada', 'linux')
  expect(linux.every((path) => path.startsWith('/'))).toBe(true)
  expect(linux).toContain('/usr/lib/jvm')
})

test.each(['\\Windows', 'Windows', ''])('does not take Windows from %j', (SystemRoot) => {
  expect(systemProgram('icacls.exe', { SystemRoot })).toBe('C:\\Windows\\System32\\icacls.exe')
})
