// The package for Debian, Ubuntu and their relatives. It has no scripts: nothing runs when it is
// installed or removed, and no daemon is started.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../prepare.mjs'
import { description, targets } from './description.mjs'
import { compressed, setTimes, writeLinuxFiles } from './linux-files.mjs'
import { fileName, tildeVersion } from './versions.mjs'

/** What lintian says of the package that stays, with the reason. */
const overrides = (hasManual) => [
  ['unstripped-binary-or-object', 'the executable is Node as its project built it'],
  ['embedded-library', 'Node holds the libraries that it is released with'],
  ['hardening-no-pie', 'Node is built so'],
  ['hardening-no-fortify-functions', 'Node is built so'],
  ['initial-upload-closes-no-bugs', 'the package is not in Debian'],
  ...(hasManual ? [] : [['no-manual-page', 'this build has none']]),
]

/** Writes the package for a target into a directory. Returns its path. */
export function writeDeb({ target, executable, work, out, revision, time, fast }) {
  const { name } = description
  const { deb: architecture } = targets[target]
  const directory = join(work, `deb-${target}`)
  mkdirSync(directory, { mode: 0o755 })
  const paths = writeLinuxFiles(directory, { executable, family: 'debian' })
  const full = `${tildeVersion(description.version)}-${revision}`
  const put = (path, contents) => {
    const file = join(directory, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, contents)
    chmodSync(file, 0o644)
  }
  put(`usr/share/doc/${name}/copyright`, copyright())
  put(`usr/share/doc/${name}/changelog.Debian.gz`, compressed(changelog(full, time)))
  const hasManual = paths.some((path) => path.includes('/man1/'))
  const lines = overrides(hasManual).map(([tag, why]) => `# ${why}\n${name}: ${tag}\n`)
  put(`usr/share/lintian/overrides/${name}`, lines.join(''))
  const control = controlFile({ full, architecture, size: installedSize(directory, paths) })
  put('DEBIAN/control', control)
  put('DEBIAN/md5sums', sums(directory))
  setTimes(directory, time)
  const file = join(out, fileName(`${name}_${full}_${architecture}.deb`))
  const compression = fast ? ['-Zgzip', '-z1'] : ['-Zxz']
  const args = ['--root-owner-group', ...compression, '--build', directory, file]
  execFileSync('dpkg-deb', args, {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(time) },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return file
}

/** deb-control(5). */
function controlFile({ full, architecture, size }) {
  const { name, homepage, summary, text, glibc } = description
  const lines = text.flatMap((paragraph, i) => [...(i > 0 ? ['.'] : []), ...wrapped(paragraph, 78)])
  return `Package: ${name}
Version: ${full}
Architecture: ${architecture}
Maintainer: ${maintainer()}
Installed-Size: ${size}
Depends: libc6 (>= ${glibc}), libgcc-s1, libstdc++6 (>= 5)
Recommends: ca-certificates, libnss3-tools
Section: utils
Priority: optional
Homepage: ${homepage}
Description: ${summary}
${lines.map((line) => ` ${line}`).join('\n')}
`
}

const maintainer = () => `${description.maintainer.name} <${description.maintainer.email}>`

/** deb-changelog(5). */
const changelog = (full, time) =>
  `${description.name} (${full}) unstable; urgency=medium

  * Release ${description.version}: ${description.homepage}

 -- ${maintainer()}  ${new Date(time * 1000).toUTCString().replace('GMT', '+0000')}
`

/** Debian's machine-readable form; what Node and the bundled packages ask for is a file of its own. */
function copyright() {
  const [, notice, ...licence] = readFileSync(join(root, 'LICENSE'), 'utf8').split('\n\n')
  const lines = licence.join('\n\n').trim().split('\n')
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${description.name}
Source: ${description.homepage}
Comment: The executable holds Node.js and packages from npm, whose notices are in
 /usr/share/doc/rootling/LICENSES.txt.gz.

Files: *
Copyright: ${notice.replace('Copyright (c) ', '')}
License: Expat
${lines.map((line) => (line === '' ? ' .' : ` ${line}`)).join('\n')}
`
}

/** The size in KiB that dpkg shows. */
function installedSize(directory, paths) {
  const octets = paths.map((path) => execFileSync('stat', ['-c', '%s', join(directory, path)]))
  return octets.reduce((sum, each) => sum + Math.ceil(Number(each) / 1024), 0)
}

/** What `dpkg --verify` compares. */
const sums = (directory) =>
  execFileSync('sh', ['-c', 'find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum'], {
    cwd: directory,
    encoding: 'utf8',
  })

/** Breaks a paragraph into lines of at most `width` letters. */
function wrapped(paragraph, width) {
  const lines = ['']
  for (const word of paragraph.split(' ')) {
    const last = lines.at(-1)
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
