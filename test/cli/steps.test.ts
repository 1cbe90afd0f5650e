import { expect, test } from 'vitest'
import { render } from '../../src/cli/lines.ts'
import { createOutput } from '../../src/cli/output.ts'
import { stepTable } from '../../src/cli/steps.ts'
import type { Step } from '../../src/project/step.ts'

const output = createOutput({ json: false, quiet: false, env: {}, selected: {} })

const failed = (subject: string, detail: string): Step => ({
  code: 'certificate',
  subject,
  outcome: 'failed',
  privileged: false,
  detail,
  hint: 'rootling install',
})

test.each([
  ['.certs/shop.pem', 'There is no certificate authority yet.'],
  ['.certs/shop.pem', 'word '.repeat(40).trim()],
  [`.certs/${'x'.repeat(70)}.pem`, 'The disk is full.'],
  ['.certs/a.pem', `/${'long/'.repeat(20)}a.pem cannot be written.`],
])('why %s failed and its hint have one indent', (subject, detail) => {
  const done: Step = { code: 'env', subject: '.env', outcome: 'changed', privileged: false }
  const text = render(stepTable([failed(subject, detail), done], output), () => false)
  const lines = text.trimEnd().split('\n')
  const first = lines.findIndex((line) => line.includes('FAILED:'))
  const below = lines.slice(first, -1)
  for (const line of below) expect(line).toMatch(/^ {4}\S/)
  expect(below.at(-1)).toBe('    → rootling install')
  expect(below.slice(0, -1).join(' ').replace(/\s+/g, ' ').trim()).toBe(`FAILED: ${detail}`)
  expect(lines.at(-1)).toMatch(/^✓ {2}env +\.env +changed$/)
})
