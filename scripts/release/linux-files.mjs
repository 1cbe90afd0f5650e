// The files of a package for Linux.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { root } from '../prepare.mjs'

/** Where shells of a distribution look for the completions that packages bring. */
const completionDirectories = {
  debian: {
    'rootling.bash': 'bash-completion/completions/rootling',
    _rootling: 'zsh/vendor-completions/_rootling',
    'rootling.fish': 'fish/vendor_completions.d/rootling.fish',
  },
  fedora: {
    'rootling.bash': 'bash-completion/completions/rootling',
    _rootling: 'zsh/site-functions/_rootling',
    'rootling.fish': 'fish/vendor_completions.d/rootling.fish',
  },
}

/**
 * Writes what a package installs below a directory that stands for `/`. The manual pages and the
 * completions are those of `dist/share`, where the build made some. Returns the paths of the files.
 */
export function writeLinuxFiles(directory, { executable, family }) {
  const paths = []
  const put = (path, contents, mode = 0o644) => {
    const file = join(directory, path)
    makeDirectory(dirname(file))
    if (typeof contents === 'object' && 'copyOf' in contents) copyFileSync(contents.copyOf, file)
    else writeFileSync(file, contents)
    chmodSync(file, mode)
    paths.push(path)
  }
  put('usr/bin/rootling', { copyOf: executable }, 0o755)
  symlinkSync('rootling', join(directory, 'usr/bin/rootling-mkcert'))
  paths.push('usr/bin/rootling-mkcert')
  const unit = readFileSync(join(root, 'scripts/release/rootling.service'), 'utf8')
  put('usr/lib/systemd/user/rootling.service', unit)
  const licences = readFileSync(`${executable}.LICENSES.txt`)
  put('usr/share/doc/rootling/LICENSES.txt.gz', compressed(licences))
  put('usr/share/doc/rootling/SECURITY.md.gz', compressed(readFileSync(join(root, 'SECURITY.md'))))
  const share = join(root, 'dist/share')
  for (const page of filesIn(join(share, 'man/man1')))
    put(`usr/share/man/man1/${page}.gz`, compressed(readFileSync(join(share, 'man/man1', page))))
  for (const [name, path] of Object.entries(completionDirectories[family]))
    if (existsSync(join(share, 'completions', name)))
      put(`usr/share/${path}`, readFileSync(join(share, 'completions', name)))
  return paths
}

/** Compresses without a name and a time. */
export const compressed = (contents) => gzipSync(contents, { level: 9 })

/** Makes a directory and those above it with a mode that does not depend on the umask. */
function makeDirectory(path) {
  if (existsSync(path)) return
  makeDirectory(dirname(path))
  mkdirSync(path)
  chmodSync(path, 0o755)
}

const filesIn = (directory) => (existsSync(directory) ? readdirSync(directory).toSorted() : [])

/** Gives all below a directory the same time. */
export function setTimes(directory, seconds) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) setTimes(path, seconds)
    lutimesSync(path, seconds, seconds)
  }
  lutimesSync(directory, seconds, seconds)
}
