import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const seconds = 1_000

/**
 * The word before `.test.ts` says a file's project; without one it is of `unit`. The limits guard
 * against hanging: at least ten times what the slowest test or hook takes alone on a slow machine.
 * No test measures by them.
 */
const projects = [
  { name: 'unit', limit: 120 * seconds },
  { name: 'tools', limit: 900 * seconds },
  { name: 'machine', limit: 900 * seconds },
  { name: 'long', limit: 900 * seconds },
  { name: 'frameworks', limit: 900 * seconds },
]
const marked = projects.filter(({ name }) => name !== 'unit').map(({ name }) => name)

/** The files that take minutes begin first, so that none of them is waited for at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project }: TestSpecification) =>
      ['frameworks', 'machine', 'long', 'tools', 'unit'].indexOf(project.name)
    // oxlint-disable-next-line unicorn/no-array-sort -- it is no array's
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Most of a test is waiting for another program.
    maxWorkers: 2,
    restoreMocks: true,
    projects: projects.map(({ name, limit }) => ({
      extends: true,
      test: {
        name,
        include: [name === 'unit' ? 'test/**/*.test.ts' : `test/**/*.${name}.test.ts`],
        exclude: name === 'unit' ? marked.map((other) => `test/**/*.${other}.test.ts`) : [],
        setupFiles: name === 'unit' ? ['test/helpers/no-processes.ts'] : [],
        testTimeout: limit,
        hookTimeout: limit,
        expect: { poll: { timeout: limit / 2 } },
      },
    })),
  },
})
