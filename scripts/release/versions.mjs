// A version as the kinds of packages write it. One with a hyphen, such as 1.2.0-rc.1, comes before
// 1.2.0 (Semantic Versioning §11), and for dpkg, rpm and pacman it would come after it.

const cut = (version) => {
  const [release, ...rest] = version.replace(/\+.*$/, '').split('-')
  return { release, early: rest.join('-') }
}

/** For dpkg and rpm, where ~ sorts before everything, even before the end (deb-version(7), rpm-version(7)). */
export function tildeVersion(version) {
  const { release, early } = cut(version)
  return early === '' ? release : `${release}~${early.replaceAll('-', '.')}`
}

/** For pacman, where letters after the last number sort before nothing (vercmp(8)). It forbids hyphens. */
export function archVersion(version) {
  const { release, early } = cut(version)
  return early === '' ? release : `${release}${early.replaceAll('-', '.')}`
}

/**
 * For Alpine, which knows the suffixes _alpha, _beta, _pre and _rc, with a number (apk-package(5)). Any
 * other word becomes _pre.
 */
export function alpineVersion(version) {
  const { release, early } = cut(version)
  if (early === '') return release
  const [, word = '', number = ''] = /^([a-z]*)\.?(\d*)/i.exec(early) ?? []
  const known = ['alpha', 'beta', 'pre', 'rc'].includes(word) ? word : 'pre'
  return `${release}_${known}${number}`
}

/**
 * Returns the name of a file without ~, which GitHub replaces in the names of a release's files: the
 * list of sums would name files that are not there.
 */
export const fileName = (name) => name.replaceAll('~', '-')

/** Reads `--revision`. Throws for anything but a number from 1 on. */
export function revisionOf(text) {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new Error(`--revision ${text} is not a number from 1 on.`)
}
