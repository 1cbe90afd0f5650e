import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../helpers/free-port.ts'
import { chromiumClient } from '../outside/e2e/client-chromium.ts'
import { expected, observe } from './check.ts'
import { prepareExample, readFrameworks, withVersions } from './example.ts'
import { makePerson } from './person.ts'

// The examples that fast.tools.test.ts leaves out.

const obstacle = await chromiumClient.unavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const all = await readFrameworks()
const frameworks = all.filter(
  ({ fast, runner, untried }) => fast !== true && runner !== true && untried === undefined,
)

describe.skipIf(obstacle !== null)(`in Chromium${skipNote}`, () => {
  test.for(frameworks.flatMap(withVersions))('$title', async (each, { skip }) => {
    expect(await observe(each.framework, each.versions, skip)).toEqual(expected(each.framework))
  })
})

test.skipIf(obstacle !== null)(
  `Playwright starts a server by webServer${skipNote}`,
  async ({ skip }) => {
    const { directory, missing } = await prepareExample('playwright')
    if (directory === null) return skip(missing)
    const person = await makePerson(process.execPath)
    // A browser that Playwright has not downloaded, and root needs no sandbox.
    const browser = { executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] }
    const config = `import { defineConfig } from '@playwright/test'
    import own from './playwright.config.js'
    export default defineConfig(own, { use: { launchOptions: ${JSON.stringify(browser)} } })`
    await writeFile(join(directory, 'here.config.js'), config)
    const env = { PORT: `${await freePort()}` }
    const command = ['npx', 'playwright', 'test', '--config=here.config.js', '--workers=1']
    const trusting = person.start(directory, ['rootling', 'run', '--', ...command], env)
    expect(await trusting.ended, trusting.said()).toBe(0)
    expect(trusting.said()).toContain('2 passed')
  },
)
