import { describe, test } from 'vitest'
import { chromiumClient } from '../outside/e2e/client-chromium.ts'
import { checkFramework } from './check.ts'
import { readFrameworks } from './example.ts'

// The examples that start within seconds. `npm run test:frameworks` also runs the others.

const obstacle = await chromiumClient.unavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const frameworks = (await readFrameworks()).filter(({ fast }) => fast === true)

describe.skipIf(obstacle !== null)(`in Chromium${skipNote}`, () => {
  for (const framework of frameworks)
    for (const versions of [{}, ...(framework.also ?? [])])
      test(`${framework.title} ${Object.values(versions).join()}`.trim(), ({ skip }) =>
        checkFramework(framework, versions, skip),
      )
})
