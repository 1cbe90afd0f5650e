// npx mocha
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import https from 'node:https'
import { promisify } from 'node:util'
import { ephemeralAuthority } from 'rootling/test'

describe('a program that the code under test starts', () => {
  let ca
  let environment
  let server
  before(async () => {
    ca = await ephemeralAuthority()
    environment = await ca.environment() // writes the files of roots that its variables name
    server = https.createServer(await ca.certificate(), (_request, response) =>
      response.end('hello'),
    )
    await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  })
  after(async () => {
    server.close()
    await environment.dispose() // deletes the files
  })

  /** The code under test; here the child is Node, and could be curl, Python, Go … */
  const childGets = async (env) => {
    const script = `fetch('https://localhost:${server.address().port}/').then((r) => r.text()).then(console.log)`
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { env })
    return stdout.trim()
  }

  it('trusts the authority with its environment', async () => {
    assert.equal(await childGets({ ...process.env, ...environment.variables }), 'hello')
  }).timeout(60_000)

  it('does not trust it without', async () => {
    await assert.rejects(childGets(process.env), /fetch failed/)
  }).timeout(60_000)
})
