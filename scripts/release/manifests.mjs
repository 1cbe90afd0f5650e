// What package managers read that fetch a release's files themselves: each manifest is a text by its
// path. `sums` has the SHA-256 of each file of the release, in hex, by its name.
import { archiveName } from './archives.mjs'
import { description, downloads } from './description.mjs'
import { alpineVersion, archVersion } from './versions.mjs'

const { name, version, summary, license, homepage, bugs, maintainer, text, glibc } = description
const folderOf = (target) => `${name}-${version}-${target}`
const urlOf = (file) => `${downloads}/${file}`

/** Returns the manifests for which the release has the files. */
export function manifests(sums, { revision, time }) {
  const has = (target) => archiveName(target) in sums
  const npm = `${name}-${version}.tgz`
  const both = (...targets) => targets.every(has)
  return {
    ...(both('darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64')
      ? { [`homebrew/${name}.rb`]: homebrew(sums) }
      : {}),
    ...(both('win32-x64', 'win32-arm64')
      ? { [`scoop/${name}.json`]: scoop(sums), ...winget(sums, time) }
      : {}),
    ...(both('linux-arm64', 'linux-x64')
      ? {
          'aur/PKGBUILD': pkgbuild(sums, revision),
          'aur/.SRCINFO': srcinfo(sums, revision),
          'nix/flake.nix': flake(sums),
        }
      : {}),
    ...(npm in sums ? { 'alpine/APKBUILD': apkbuild(sums, npm, revision) } : {}),
  }
}

const sumOf = (sums, target) => sums[archiveName(target)]

/** A formula of a tap (https://docs.brew.sh/Formula-Cookbook). */
function homebrew(sums) {
  const from = (target) => `      url "${urlOf(archiveName(target))}"
      sha256 "${sumOf(sums, target)}"`
  const on = (system, arm, intel) => `  on_${system} do
    on_arm do
${from(arm)}
    end
    on_intel do
${from(intel)}
    end
  end
`
  return `class Rootling < Formula
  desc "${summary}"
  homepage "${homepage}"
  version "${version}"
  license "${license}"

${on('macos', 'darwin-arm64', 'darwin-x64')}
${on('linux', 'linux-arm64', 'linux-x64')}
  def install
    bin.install "rootling"
    bin.install_symlink "rootling" => "rootling-mkcert"
    doc.install "LICENSES.txt"
    if File.directory?("share")
      man1.install Dir["share/man/man1/*.1"]
      bash_completion.install "share/completions/rootling.bash" => "rootling"
      zsh_completion.install "share/completions/_rootling"
      fish_completion.install "share/completions/rootling.fish"
    end
  end

  test do
    ENV["ROOTLING_HOME"] = testpath/"state"
    system bin/"rootling", "issue", "localhost"
    assert_path_exists testpath/"localhost.pem"
  end
end
`
}

/** An app of a bucket (https://github.com/ScoopInstaller/Scoop/wiki/App-Manifests). */
function scoop(sums) {
  const from = (target) => ({
    url: urlOf(archiveName(target)),
    hash: sumOf(sums, target),
    extract_dir: folderOf(target),
  })
  const ofAny = (target) => ({
    url: urlOf(archiveName(target)).replaceAll(version, '$version'),
    extract_dir: folderOf(target).replaceAll(version, '$version'),
  })
  const manifest = {
    version,
    description: summary,
    homepage,
    license,
    architecture: { '64bit': from('win32-x64'), arm64: from('win32-arm64') },
    bin: 'rootling.exe',
    checkver: { github: homepage },
    autoupdate: {
      architecture: { '64bit': ofAny('win32-x64'), arm64: ofAny('win32-arm64') },
      hash: { url: '$baseurl/SHA256SUMS' },
    },
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/** The three files of a package for winget (https://learn.microsoft.com/windows/package-manager). */
function winget(sums, time) {
  const id = 'Rootling.Rootling'
  const schema = '1.6.0'
  const file = (type, kind, lines) =>
    `# yaml-language-server: $schema=https://aka.ms/winget-manifest.${kind}.${schema}.schema.json
PackageIdentifier: ${id}
PackageVersion: ${version}
${lines}
ManifestType: ${type}
ManifestVersion: ${schema}
`
  const installer = (target, architecture) => `- Architecture: ${architecture}
  InstallerUrl: ${urlOf(archiveName(target))}
  InstallerSha256: ${sumOf(sums, target).toUpperCase()}
  NestedInstallerFiles:
  - RelativeFilePath: ${folderOf(target)}\\rootling.exe
    PortableCommandAlias: rootling`
  return {
    [`winget/${id}.yaml`]: file('version', 'version', 'DefaultLocale: en-US'),
    [`winget/${id}.installer.yaml`]: file(
      'installer',
      'installer',
      `InstallerType: zip
NestedInstallerType: portable
ReleaseDate: ${new Date(time * 1000).toISOString().slice(0, 10)}
Installers:
${installer('win32-x64', 'x64')}
${installer('win32-arm64', 'arm64')}`,
    ),
    [`winget/${id}.locale.en-US.yaml`]: file(
      'defaultLocale',
      'defaultLocale',
      `PackageLocale: en-US
Publisher: ${maintainer.name}
PublisherUrl: ${homepage}
PublisherSupportUrl: ${bugs}
PackageName: Rootling
PackageUrl: ${homepage}
License: ${license}
ShortDescription: ${summary}
Description: ${text[0]}
Moniker: rootling
Tags:
- certificate
- https
- localhost
- mkcert`,
    ),
  }
}

const arches = [
  ['x86_64', 'linux-x64'],
  ['aarch64', 'linux-arm64'],
]

/** The build of the Arch User Repository (PKGBUILD(5)), from the executables. */
function pkgbuild(sums, revision) {
  const lines = arches.map(
    ([arch, target]) => `source_${arch}=("${urlOf(archiveName(target))}")
sha256sums_${arch}=('${sumOf(sums, target)}')`,
  )
  return `# Maintainer: ${maintainer.name} <${maintainer.email}>
pkgname=${name}-bin
pkgver=${archVersion(version)}
pkgrel=${revision}
pkgdesc='${summary}'
arch=('x86_64' 'aarch64')
url='${homepage}'
license=('${license}')
depends=('gcc-libs' 'glibc>=${glibc}')
optdepends=('nss: trust in Chromium and Firefox'
            'ca-certificates-utils: trust in the system store')
provides=('${name}')
conflicts=('${name}')
options=('!strip' '!debug')
${lines.join('\n')}

package() {
  cd "$srcdir/${name}-${version}-linux-"* || return 1
  install -Dm755 rootling "$pkgdir/usr/bin/rootling"
  ln -s rootling "$pkgdir/usr/bin/rootling-mkcert"
  install -Dm644 LICENSES.txt "$pkgdir/usr/share/licenses/$pkgname/LICENSES.txt"
  if [ -d share ]; then
    for page in share/man/man1/*.1; do
      install -Dm644 "$page" "$pkgdir/usr/share/man/man1/\${page##*/}"
    done
    install -Dm644 share/completions/rootling.bash "$pkgdir/usr/share/bash-completion/completions/rootling"
    install -Dm644 share/completions/_rootling "$pkgdir/usr/share/zsh/site-functions/_rootling"
    install -Dm644 share/completions/rootling.fish "$pkgdir/usr/share/fish/vendor_completions.d/rootling.fish"
  fi
}
`
}

/** What `makepkg --printsrcinfo` prints of it. */
const srcinfo = (sums, revision) => `pkgbase = ${name}-bin
\tpkgdesc = ${summary}
\tpkgver = ${archVersion(version)}
\tpkgrel = ${revision}
\turl = ${homepage}
\tarch = x86_64
\tarch = aarch64
\tlicense = ${license}
\tdepends = gcc-libs
\tdepends = glibc>=${glibc}
\toptdepends = nss: trust in Chromium and Firefox
\toptdepends = ca-certificates-utils: trust in the system store
\tprovides = ${name}
\tconflicts = ${name}
\toptions = !strip
\toptions = !debug
${arches
  .map(
    ([arch, target]) => `\tsource_${arch} = ${urlOf(archiveName(target))}
\tsha256sums_${arch} = ${sumOf(sums, target)}`,
  )
  .join('\n')}

pkgname = ${name}-bin
`

const sri = (hex) => `sha256-${Buffer.from(hex, 'hex').toString('base64')}`

/** A flake of the executables, whose loader and libraries become those of the store. */
function flake(sums) {
  const systems = arches.map(
    ([arch, target]) => `        ${arch}-linux = {
          url = "${urlOf(archiveName(target))}";
          hash = "${sri(sumOf(sums, target))}";
        };`,
  )
  return `{
  description = "${summary}";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      sources = {
${systems.join('\n')}
      };
      packageFor =
        system:
        let
          pkgs = nixpkgs.legacyPackages.\${system};
        in
        pkgs.stdenv.mkDerivation {
          pname = "${name}";
          version = "${version}";
          src = pkgs.fetchurl sources.\${system};
          nativeBuildInputs = [
            pkgs.autoPatchelfHook
            pkgs.installShellFiles
          ];
          buildInputs = [ pkgs.stdenv.cc.cc.lib ];
          # The program is at the end of the executable.
          dontStrip = true;
          installPhase = ''
            install -Dm755 rootling $out/bin/rootling
            ln -s rootling $out/bin/rootling-mkcert
            install -Dm644 LICENSES.txt $out/share/doc/${name}/LICENSES.txt
            if [ -d share ]; then
              installManPage share/man/man1/*.1
              installShellCompletion share/completions/{rootling.bash,_rootling,rootling.fish}
            fi
          '';
          meta = {
            description = "${summary}";
            homepage = "${homepage}";
            license = pkgs.lib.licenses.mit;
            mainProgram = "rootling";
            platforms = builtins.attrNames sources;
          };
        };
    in
    {
      packages = builtins.mapAttrs (system: _: { default = packageFor system; }) sources;
    };
}
`
}

/**
 * The build of a package for Alpine (APKBUILD(5)), from the package of npm: the executable needs the
 * GNU C library, which Alpine has not. The commands run in Alpine's Node, and lock by its SQLite.
 */
function apkbuild(sums, npm, revision) {
  return `# Contributor: ${maintainer.name} <${maintainer.email}>
# Maintainer: ${maintainer.name} <${maintainer.email}>
pkgname=${name}
pkgver=${alpineVersion(version)}
pkgrel=${revision - 1}
pkgdesc="${summary}"
url="${homepage}"
arch="noarch"
license="${license}"
depends="ca-certificates nodejs>=22.13"
makedepends="npm"
subpackages="$pkgname-doc $pkgname-bash-completion $pkgname-zsh-completion $pkgname-fish-completion"
options="!check net" # the tests are not in the package; npm fetches the driver of PostgreSQL
source="${urlOf(npm)}"
builddir="$srcdir/package"

package() {
	npm install --global --prefix "$pkgdir"/usr --ignore-scripts --no-audit --no-fund \\
		"$srcdir"/${npm}
	# npm links pages of global packages in its own way.
	rm -rf "$pkgdir"/usr/share/man
	local page share="$builddir"/dist/share
	for page in "$share"/man/man1/*; do
		install -Dm644 "$page" "$pkgdir"/usr/share/man/man1/"\${page##*/}"
	done
	install -Dm644 "$share"/completions/rootling.bash \\
		"$pkgdir"/usr/share/bash-completion/completions/rootling
	install -Dm644 "$share"/completions/_rootling "$pkgdir"/usr/share/zsh/site-functions/_rootling
	install -Dm644 "$share"/completions/rootling.fish \\
		"$pkgdir"/usr/share/fish/vendor_completions.d/rootling.fish
}

sha512sums="
${sums[`${npm}.sha512`]}  ${npm}
"
`
}
