import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { expect, onTestFinished, test } from 'vitest'
import { completeCommands } from '../../src/complete-commands.ts'
import { standardError, standardOutput } from '../../src/cli/standard-streams.ts'
import { asTyped } from '../../src/daemon/service/manager.ts'
import { windowsTask } from '../../src/daemon/service/units.ts'
import { unwritable } from '../../src/files/errors.ts'
import { readText } from '../../src/files/read.ts'
import { stateDirectory } from '../../src/home/state-directory.ts'
import {
  toDelete,
  toDeleteLines,
  toEdit,
  toList,
  toMakeDirectory,
  toMove,
} from '../../src/shell-commands.ts'
import { shellWord } from '../../src/shell-word.ts'
import { callItWindows } from '../helpers/windows-files.ts'

/** What cmd or PowerShell does not understand, or understands otherwise. */
const unix = /'|&&|\b(?:ls|mkdir -p|mv|rm|sed|cut|head|tail|chmod|chown|export|sudo)\b/

test('quotes for cmd and PowerShell alike', () => {
  expect(shellWord(String.raw`C:\x\y.pem`, 'win32')).toBe(String.raw`C:\x\y.pem`)
  expect(shellWord(String.raw`C:\Ada L\y.pem`, 'win32')).toBe(String.raw`"C:\Ada L\y.pem"`)
  expect(shellWord('*.app.localhost', 'win32')).toBe('"*.app.localhost"')
  expect(shellWord('100%', 'win32')).toBe('"100%"')
})

test('names commands of Windows', async () => {
  const denied = Object.assign(new Error('x'), { code: 'EACCES' })
  const path = String.raw`C:\Ada L\x`
  callItWindows()
  const hints = [
    toList(path),
    toDeleteLines(path, '3d;5d'),
    toMakeDirectory(path),
    toEdit(path, 'tail -c 500'),
    toMove(path, `${path}.old`),
    toDelete(path),
    unwritable(path, denied).hint ?? '',
    asTyped(windowsTask({ program: 'p', args: [], home: 'h' }, 'u', path)),
    completeCommands('rootling ca forget "rootling list"', { home: path, authority: 'work' }),
    (await readText('/dev/null').catch(({ hint }: { hint: string }) => hint)) ?? '',
  ]
  try {
    await stateDirectory({ ROOTLING_HOME: 'x' })
  } catch (error) {
    hints.push((error as { hint: string }).hint)
  }
  for (const hint of hints) expect(hint).not.toMatch(unix)
  expect(hints.slice(0, 3)).toEqual([`dir "${path}"`, `notepad "${path}"`, `mkdir "${path}"`])
  expect(hints[8]).toBe('rootling ca forget --ca work "rootling list"')
  expect(hints).toHaveLength(11)
})

test('deletes lines as the sed of each system takes it', () => {
  expect(toDeleteLines('/a b', '3d;5d', 'linux')).toBe("sed -i '3d;5d' '/a b'")
  expect(toDeleteLines('/a', '3d', 'darwin')).toBe("sed -i '' 3d /a")
})

test('a standard stream that is closed is no terminal, and hides no message', () => {
  const { fstatSync } = fs
  const closed = (): never => {
    throw Object.assign(new Error('EBADF: bad file descriptor, fstat'), { code: 'EBADF' })
  }
  Object.assign(fs, { fstatSync: closed })
  syncBuiltinESMExports()
  onTestFinished(() => {
    Object.assign(fs, { fstatSync })
    syncBuiltinESMExports()
  })
  expect([standardOutput.isTTY, standardError.isTTY]).toEqual([false, false])
})
