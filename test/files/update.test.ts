import { expect, test } from 'vitest'
import { toUpdate } from '../../src/files/update.ts'

test('says how to update what runs: the package of npm, or the single executable', () => {
  expect(toUpdate()).toBe('npm install -g rootling@latest, or by what else installed it')
  expect(toUpdate('npm install rootling@latest')).toBe('npm install rootling@latest')
  const hint = toUpdate('npm install rootling@latest', {
    standalone: true,
    program: '/home/ada/my tools/rootling',
  })
  expect(hint).toBe(
    "by the package that installed '/home/ada/my tools/rootling', or put the executable of a newer release there",
  )
})
