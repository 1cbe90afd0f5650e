// Prepares a fresh clone for `npm start` and `npm test`: installs npm's dependencies and builds.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const cli = join(root, 'dist/cli/rootling.cjs')

/**
 * Returns the environment without the variables that slow Node's start or make clients trust other
 * roots.
 */
export function scrubbedEnvironment() {
  const scrubbed = new Set([
    'GIT_SSL_CAINFO',
    'JAVA_TOOL_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'NODE_OPTIONS',
    'PIP_CERT',
    'SSL_CERT_DIR',
    'SSL_CERT_FILE',
  ])
  const isKept = (name) => !scrubbed.has(name) && !/^\w*_CA_BUNDLE$/.test(name)
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => isKept(name)))
}

export function prepare() {
  // npm runs with the whole environment: it may need the certificates that those variables name to
  // reach the registry.
  const npm = (...args) => execFileSync('npm', args, { cwd: root, stdio: 'inherit' })
  const installed = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installed) || mtime(installed) < mtime(join(root, 'package-lock.json')))
    npm('ci', '--no-audit', '--no-fund')
  if (!existsSync(cli) || mtime(cli) < newestSource()) npm('run', '--silent', 'build')
}

function newestSource() {
  const files = ['src', 'platform'].flatMap((directory) =>
    readdirSync(join(root, directory), { recursive: true }).map((file) =>
      join(root, directory, String(file)),
    ),
  )
  const others = ['package.json', 'tsconfig.json', 'scripts/build.mjs']
  return Math.max(...files.map(mtime), ...others.map((file) => mtime(join(root, file))))
}

const mtime = (file) => statSync(file).mtimeMs
