// The package for Fedora, openSUSE and their relatives, written by rpmbuild. As that for Debian, it
// has no scripts.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { description, targets } from './description.mjs'
import { setTimes, writeLinuxFiles } from './linux-files.mjs'
import { fileName, tildeVersion } from './versions.mjs'

/** Writes the package for a target into a directory. Returns its path. */
export function writeRpm({ target, executable, work, out, revision, time, fast }) {
  const top = join(work, `rpm-${target}`)
  const files = join(top, 'files')
  mkdirSync(files, { recursive: true, mode: 0o755 })
  const paths = writeLinuxFiles(files, { executable, family: 'fedora' })
  setTimes(files, time)
  const spec = join(top, 'rootling.spec')
  writeFileSync(spec, specFile({ files, paths, revision, time, fast }))
  const { rpm: architecture } = targets[target]
  const args = ['-bb', '--target', `${architecture}-linux`, '--define', `_topdir ${top}/top`, spec]
  execFileSync('rpmbuild', ['--quiet', ...args], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(time) },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const made = join(top, 'top/RPMS', architecture)
  const [name] = readdirSync(made)
  const file = join(out, fileName(name))
  renameSync(join(made, name), file)
  return file
}

/** The macros keep the executable as it is, and the package the same on every machine. */
function specFile({ files, paths, revision, time, fast }) {
  const { name, summary, license, homepage, text, maintainer } = description
  const version = tildeVersion(description.version)
  const date = new Date(time * 1000)
    .toUTCString()
    .replace(/^(\w+), (\d+) (\w+) (\d+).*/, '$1 $3 $2 $4')
  return `%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _missing_build_ids_terminate_build 0
%global _buildhost rootling
%global _binary_payload ${fast ? 'w1.gzdio' : 'w19.zstdio'}
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
Name: ${name}
Version: ${version}
Release: ${revision}
Summary: ${summary}
License: ${license}
URL: ${homepage}
Recommends: ca-certificates
Recommends: nss-tools

%description
${text.join('\n\n')}

%install
cp -a ${files}/. %{buildroot}

%files
%dir /usr/share/doc/${name}
${paths.map((path) => `${path.includes('/doc/') ? '%doc ' : ''}/${path}`).join('\n')}

%changelog
* ${date} ${maintainer.name} <${maintainer.email}> - ${version}-${revision}
- Release ${description.version}
`
}
