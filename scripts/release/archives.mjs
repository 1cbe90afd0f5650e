// The archives that people and package managers fetch: one for each executable.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../prepare.mjs'
import { description } from './description.mjs'
import { setTimes } from './linux-files.mjs'

const folderOf = (target) => `${description.name}-${description.version}-${target}`

/** The name of a target's archive. */
export const archiveName = (target) =>
  `${folderOf(target)}${target.startsWith('win32') ? '.zip' : '.tar.gz'}`

/** Writes the archive of a target into a directory: the same octets for the same files. */
export function writeArchive({ target, executable, work, out, time, fast }) {
  const isWindows = target.startsWith('win32')
  const folder = folderOf(target)
  const directory = join(work, folder)
  mkdirSync(directory)
  copyFileSync(executable, join(directory, isWindows ? 'rootling.exe' : 'rootling'))
  copyFileSync(`${executable}.LICENSES.txt`, join(directory, 'LICENSES.txt'))
  chmodSync(join(directory, 'LICENSES.txt'), 0o644)
  if (!isWindows) symlinkSync('rootling', join(directory, 'rootling-mkcert'))
  const share = join(root, 'dist/share')
  if (existsSync(share)) cpSync(share, join(directory, 'share'), { recursive: true })
  setTimes(directory, time)
  const file = join(out, archiveName(target))
  const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C' }
  if (isWindows)
    execFileSync('sh', ['-c', 'find "$1" | sort | zip -q -X -@ "$2"', 'sh', folder, file], {
      cwd: work,
      env,
    })
  else writeTarGz({ from: work, names: [folder], file, time, fast })
  return file
}

/** Writes files and directories of `from` into an archive: the same octets for the same files. */
export function writeTarGz({ from, names, file, time, fast }) {
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--format=ustar']
  const args = ['--sort=name', `--mtime=@${time}`, ...owner, '--mode=go=rX,u+rw', '-cf', '-']
  const script = `file=$1; shift; tar "$@" | gzip -n${fast ? 1 : 9} > "$file"`
  execFileSync('sh', ['-c', script, 'sh', file, ...args, ...names], {
    cwd: from,
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
  })
}
