// `npm start` does the main job on this machine, for real: creates the authority, trusts it in
// every store, serves https://localhost and fetches it with the system's curl, without --cacert.
// `-- --once` exits after the check; other options go to `rootling serve`.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { cli, prepare, scrubbedEnvironment } from './prepare.mjs'

prepare()
const args = process.argv.slice(2)
const exitAfterCheck = args.includes('--once')
const env = scrubbedEnvironment()
const consent = process.stdin.isTTY ? [] : ['--yes']

const install = spawnSync(process.execPath, [cli, 'install', ...consent], { env, stdio: 'inherit' })
// Exit code 3 means that some stores failed. The command printed which, and the others are enough
// to go on.
if (install.status !== 0 && install.status !== 3) process.exit(install.status ?? 1)

const serveArgs = ['serve', 'localhost', '127.0.0.1', '::1']
const server = spawn(process.execPath, [cli, ...serveArgs, ...args.filter((a) => a !== '--once')], {
  env,
  stdio: ['inherit', 'pipe', 'inherit'],
})
const ended = once(server, 'exit')
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill(signal))

const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]()
const first = await lines.next()
if (first.done) process.exit((await ended)[0] ?? 1)
const url = first.value
const trusted = fetchWithCurl(url)
console.log(
  trusted ? `\n${url} is trusted: open it in a browser.` : `\n${url} is NOT trusted by curl.`,
)

if (exitAfterCheck) server.kill('SIGINT')
const [code] = await ended
process.exit(trusted ? (code ?? 1) || (exitAfterCheck ? install.status : 0) : 4)

function fetchWithCurl(address) {
  const curl = spawnSync('curl', ['--silent', '--show-error', '--max-time', '10', address], {
    env,
    encoding: 'utf8',
  })
  if (curl.error) {
    console.log(`curl is not on this machine, so nothing was fetched: ${curl.error.message}`)
    return true
  }
  if (curl.status !== 0) console.log(curl.stderr.trim())
  else console.log(`curl ${address} without --cacert: ${curl.stdout.length} bytes of the page`)
  return curl.status === 0
}
