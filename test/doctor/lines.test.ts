import { expect, test, vi } from 'vitest'
import { examinationLines } from '../../src/cli/commands/doctor.ts'
import { render } from '../../src/cli/lines.ts'
import { createOutput } from '../../src/cli/output.ts'
import { standardOutput } from '../../src/cli/standard-streams.ts'

const sentence = `The root ${'is not where a program looks for it and '.repeat(4)}so nothing trusts it.`

/** What doctor prints of one finding and one server, as lines. */
function shown(isTTY: boolean): string[] {
  vi.spyOn(standardOutput, 'isTTY', 'get').mockReturnValue(isTTY)
  vi.spyOn(standardOutput, 'columns', 'get').mockReturnValue(80)
  const selected = { home: '/h' }
  const output = createOutput({ json: false, quiet: false, env: { NO_COLOR: '1' }, selected })
  const finding = { code: 'root-missing', severity: 'error', subject: 'x', sentence } as const
  const findings = [{ ...finding, remedy: 'rootling install', fix: { action: 'install' } }]
  const checked = Array.from({ length: 12 }, (_, i) => ({ check: `check ${i}`, subjects: ['a'] }))
  const examination = { findings, checked, servers: [] } as unknown as Parameters<
    typeof examinationLines
  >[0]
  return render(examinationLines(examination, output), () => false)
    .trimEnd()
    .split('\n')
}

test('each sentence of doctor’s end is a line of its own, with a command that can be pasted', () => {
  expect(shown(false)).toEqual([
    `✗ ${sentence}`,
    '  → ROOTLING_HOME=/h rootling install',
    '',
    '1 error.',
    'To mend 1 of them: ROOTLING_HOME=/h rootling doctor --fix',
    expect.stringMatching(/^Looked at: check 0 \(1\), .*check 11 \(1\)\.$/),
  ])
})

test('doctor wraps its sentences on a terminal', () => {
  const lines = shown(true)
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
  expect(lines[1]).toMatch(/^ {2}\S/)
  expect(lines.at(-1)).toMatch(/^ {2}check/)
  expect(lines.join(' ').replace(/\s+/g, ' ')).toContain(sentence)
  expect(lines).toContain('  → ROOTLING_HOME=/h rootling install')
})
