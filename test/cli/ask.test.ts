import { expect, test } from 'vitest'
import { questionText } from '../../src/cli/ask.ts'

test('a question is wrapped between words, and its items hang below their beginning', () => {
  const command = `docker compose exec -T web ${'very-long-word '.repeat(6)}end`
  const text = questionText(['rootling.json asks to:', `  run: ${command}`, 'Agree?'], 80)
  const lines = text.split('\n')
  expect(lines[0]).toBe('rootling.json asks to:')
  expect(lines[1]).toMatch(/^ {2}run: docker compose/)
  expect(lines.slice(2, -1).length).toBeGreaterThan(0)
  for (const line of lines.slice(2, -1)) expect(line).toMatch(/^ {4}\S/)
  expect(lines.at(-1)).toBe('Agree? [y/N] ')
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(80)
  expect(text.replace(/\s+/g, ' ')).toContain(command)
})

test('the answer has room behind the last line', () => {
  for (let length = 60; length < 90; length++) {
    const lines = questionText([`${'a'.repeat(length - 5)} bcd?`], 80).split('\n')
    expect(lines.at(-1)).toMatch(/\[y\/N\] $/)
    expect(lines.at(-1)?.length).toBeLessThanOrEqual(80)
  }
})
