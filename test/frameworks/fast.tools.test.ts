import { describe, expect, test } from 'vitest'
import { chromiumClient } from '../outside/e2e/client-chromium.ts'
import { expected, observe } from './check.ts'
import { readFrameworks, withVersions } from './example.ts'

// The examples that start within seconds; slow.frameworks.test.ts has the others.

const obstacle = await chromiumClient.unavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const frameworks = (await readFrameworks()).filter(({ fast }) => fast === true)

describe.skipIf(obstacle !== null)(`in Chromium${skipNote}`, () => {
  test.for(frameworks.flatMap(withVersions))('$title', async (each, { skip }) => {
    expect(await observe(each.framework, each.versions, skip)).toEqual(expected(each.framework))
  })
})
