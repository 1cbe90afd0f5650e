/**
 * What the manual says of each command beyond its summary, by the command's name; of the program
 * itself by an empty name. Options and what is in backquotes are printed in bold.
 */
export const descriptions: Readonly<Record<string, readonly string[]>> = {
  '': [
    'Rootling makes a certificate authority for one machine, puts its root into the trust stores of that machine, and issues certificates that browsers, `curl`, Java and other programs there trust.',
    'The authority may sign only names that mean nothing outside of the machine or its network, such as localhost and names below .localhost, .test and .internal, and loopback, private and link-local addresses; `rootling ca permit` adds others. The key of the root is not kept.',
    'A line that begins with a name and no command issues a certificate for it, as `rootling issue` does. `rootling help` COMMAND prints the help of a command, and `man rootling-`COMMAND this manual’s page; the commands of a group, such as `rootling ca list`, are on the page of the group.',
  ],
  install: [
    'Makes the authority where there is none, and puts its root into each trust store of this machine: the store of the system, those of the browsers, and those of Java. It changes nothing where all of them trust it already. What needs root asks for sudo, and --dry-run prints the commands instead.',
    'The stores that --stores chooses are remembered for `rootling status`, `rootling ca rotate` and later installs.',
  ],
  issue: [
    'Issues one certificate for the given host names, wildcards, IP addresses, e-mail addresses or URIs, and writes it and its key to two files of the current directory, named after the first name. The authority is made where there is none.',
    'A name that the authority may not sign is refused, and the error names the command that permits it. `rootling renew` and the daemon renew the certificate in the same files.',
  ],
  up: [
    'Reads the rootling.json of this project and makes the machine what it says: certificates, scopes, names in the hosts file, roots of others, variables and routes of the proxy. A second run changes nothing.',
    'Commands, roots of others, names beyond the local ones and the like are shown and approved once for each text of the file, on the terminal or by --allow; --yes approves none of them.',
  ],
  down: [
    'Takes back what `rootling up` did for this project, unless another project needs it. The authority stays, and so do the files without --files.',
  ],
  init: [
    'Writes a rootling.json, by asking, or with --yes by guessing from package.json, Compose files and the files of frameworks, which it reads and never runs.',
  ],
  schema: ['Prints the JSON Schema by which editors check and complete rootling.json.'],
  status: [
    'Asks each trust store of this machine whether it trusts the authority’s roots now. Nothing is changed. The exit status is 4 where a store fails or lacks a root.',
  ],
  doctor: [
    'Looks at stores, browsers, variables, settings, keys and certificates, and prints what keeps a program from trusting the authority, each finding with the command that mends it. --fix does the safe ones. With a URL it also connects to the server there, and says which clients would refuse it.',
  ],
  list: [
    'Prints the certificates on record: their names, until when they are good, and where their files are. What was replaced by a later certificate in the same file is left out without --all.',
  ],
  renew: [
    'Issues certificates again in the files of the old ones, for the same names and by default with the same keys, and runs their --on-renew commands. A certificate is named by one of its names, a file or its serial number.',
  ],
  request: [
    'Makes a private key and a certification request (PKCS #10), which another authority can sign. `rootling issue --csr` signs such a request here.',
  ],
  show: [
    'Explains a certificate in plain words, and says which clients would refuse it: one on record, one in a file, or that of a server that listens. It also reads requests, .p12 files, the public part of keys, CRLs and OCSP responses.',
  ],
  revoke: [
    'Puts a certificate on the list of the revoked ones (CRL) and makes the OCSP responder say so. A certificate that was revoked with the reason certificateHold can be released again.',
  ],
  forget: [
    'Drops certificates from the record whose files are gone, so that they are neither listed nor renewed.',
  ],
  crl: [
    'Prints a new list of revoked certificates of a scope, and that of its root, which nginx, HAProxy and PostgreSQL want both. A list is good for a week.',
  ],
  ocsp: [
    'Serves OCSP and the lists of revoked certificates over HTTP, until it is stopped. The daemon does so too, and certificates that are issued while it runs name it.',
  ],
  serve: [
    'Serves HTTPS on the loopback addresses: a page that shows how the connection was secured, or the files of --dir, but no dotfiles except those below /.well-known/ and no private keys. The certificate is issued and renewed by itself. Plain HTTP on the port is redirected.',
  ],
  dashboard: [
    'Prints the URL of a page that shows routes, requests, certificates, roots, trust stores and the daemon’s log. The URL holds a secret, and is good until the daemon stops.',
  ],
  share: [
    'For some minutes gives a phone or another machine of the network the public root: a QR code and a page with the steps for each system. With a NAME it also lets the device reach that app of the proxy.',
  ],
  get: [
    'Fetches a URL with the roots of the authority. Where the connection fails, it says which check failed and what to do. The body goes to standard output, the status to standard error.',
  ],
  'install-client': [
    'Gives a client certificate with its key, a .p12 file, to the browsers of this user; or with --remove takes it away again.',
  ],
  run: [
    'Runs a command with the variables by which Node, Python, Ruby, Go, curl, git and others trust the authority beside all that they trusted before. All words from the command on are for it. The exit status is that of the command, 127 where there is none of that name, and 126 where it cannot be run.',
    'With --name its server also gets a free port and an HTTPS name while it runs.',
  ],
  env: [
    'Prints the variables that `rootling run` sets, for a shell to read; --unset prints what takes them back.',
  ],
  docker: [
    'Prints what a Compose file, devcontainer.json or a Dockerfile needs so that programs in containers trust the authority: its public root and variables. Nothing is changed.',
  ],
  kubernetes: [
    'Prints a cert-manager issuer for a local cluster as YAML, which asks the daemon by ACME. With --secret the cluster gets the signing key of a private scope instead.',
  ],
  uninstall: [
    'Takes the roots out of every trust store, and this user’s names out of the hosts file. With --delete-ca also deletes the authority: the files that Rootling wrote, and nothing else.',
  ],
  completion: [
    'Prints the script by which a shell completes commands, options, their values, and names on record; without a name, for the shell in the variable SHELL. Packages may have put it in place already.',
    'In bash and zsh (there below compinit), `eval` it in ~/.bashrc or ~/.zshrc; write that of fish into ~/.config/fish/completions; in PowerShell append it to the file in $PROFILE.',
  ],
  trust: [
    'Puts the public root of another authority into the trust stores, after its fingerprint was compared with what its owner says. A root that may sign any name is refused without --unconstrained.',
  ],
  untrust: ['Takes such a root out of the trust stores again.'],
  'ca list': ['Prints each scope: what it may sign, until when, and the fingerprint of its root.'],
  'ca permit': [
    'Adds a scope, which is a root of its own, for names beyond the local ones, and trusts it. With --add the scope of --name is replaced by one that permits more.',
  ],
  'ca rotate': [
    'Replaces the root and the intermediate of a scope: the new root is trusted first, then the certificate files are renewed, then the old root leaves the stores.',
  ],
  'ca import': [
    'Adopts an authority that exists already, with its key, so that machines which trust it trust what is issued from then on.',
  ],
  'ca export': ['Writes the public root of a scope, for phones, containers and Java.'],
  'ca path': [
    'Prints the path of a PEM file of all roots, which is kept up to date, for programs that read no trust store; with a SCOPE that of its root alone.',
  ],
  'ca show': ['Explains the root of a scope in plain words.'],
  'ca forget': ['Takes the root of a scope out of every trust store, and deletes the scope.'],
  'daemon start': ['Starts the daemon in the background. It keeps the options for its next start.'],
  'daemon stop': ['Stops the daemon.'],
  'daemon restart': ['Stops the daemon and starts it again, with what the options change.'],
  'daemon status': [
    'Prints what the daemon does and since when. The exit status is 1 where it is not running.',
  ],
  'daemon logs': ['Prints the end of the daemon’s log.'],
  'daemon run': ['Runs the daemon in the foreground, until it is stopped.'],
  'daemon install': [
    'Makes the system start the daemon at each login of this user. With --ports it may serve ports 443 and 80 too.',
  ],
  'daemon uninstall': ['Ends that.'],
  'hosts add': [
    'Adds lines to the hosts file, marked as Rootling’s, and leaves all others as they are. Names that another line sends elsewhere are refused.',
  ],
  'hosts remove': ['Takes lines out that this user added.'],
  'hosts list': ['Prints the lines that Rootling added.'],
  'proxy add': [
    'Makes the daemon serve an HTTPS name, and pass its requests to the local server at PORT or at the URL of --to.',
  ],
  'proxy remove': ['Takes a name back.'],
  'proxy list': ['Prints the names, where they lead, and whether a server listens there.'],
  'acme eab': [
    'Prints a key identifier and an HMAC key, with which one ACME client may open an account (external account binding, RFC 8555).',
  ],
  'server run': [
    'Serves ACME until it is stopped. Any number of such servers may share one database. `rootling server` with options alone does the same.',
  ],
  'server init': [
    'Makes the authority and the schema in an empty database. Done again, it changes nothing.',
  ],
  'server migrate': ['Brings the schema of the database to that of this release.'],
  'server rotate': [
    'Replaces the authority: --prepare makes the next one, --activate signs with it a week later, and --finish deletes the old one when its last certificate has ended. Without an option it says where the rotation is.',
  ],
  'server rekey': ['Seals the keys in the database with another passphrase.'],
  'server eab': [
    'Makes, lists and revokes the keys with which clients register, each with the names that its accounts may order.',
  ],
  'server admin-cert': [
    'Makes, lists and revokes client certificates of those who may administer a server over the network.',
  ],
  'server restored': [
    'Compares a restored database with a list of revoked certificates that was kept, and revokes again what it does not know.',
  ],
  'server audit': ['Checks the chain of the audit trail, or drops old months of it.'],
}

/** What the manual says of each group of commands. */
export const groupDescriptions: Readonly<Record<string, readonly string[]>> = {
  ca: [
    'The authority consists of scopes. Each has a root and an intermediate of its own, and says which names it may sign. The first is `local`.',
  ],
  daemon: [
    'The daemon renews certificates that are due, serves ACME (RFC 8555), OCSP and CRLs on loopback, and is the proxy that gives local servers HTTPS names.',
  ],
  proxy: [
    'The daemon serves the names on 127.0.0.1 and ::1, at port 443, or at 14443 where it may not have 443. Each name gets its certificate when it is first asked for.',
  ],
  hosts: [
    'Names below .localhost need no line in the hosts file in browsers; names below .test do. The hosts file belongs to root, so a change asks for sudo.',
  ],
  acme: ['The daemon is an ACME server for this machine.'],
  server: [
    'An ACME server for a team has its state in PostgreSQL. The keys are sealed there, and the authority may sign the names of the team alone.',
  ],
}

/** The page of `rootling-mkcert`. */
export const mkcertDescription = {
  synopsis: [
    '`rootling-mkcert` -install | -uninstall | -CAROOT | -version',
    '`rootling-mkcert` [flags] NAME…',
    '`rootling-mkcert` [flags] -csr FILE',
  ],
  text: [
    'Takes the flags of mkcert 1.4.4, writes files of the same names, and prints the sentences that scripts look for, so that scripts and plugins which call mkcert go on working. Flags may begin with one hyphen or two.',
    'The authority may sign local names only; for others, the error names the command that permits them.',
  ],
  options: [
    [
      '-install',
      'Trust the authority in the stores of this machine; it is made when there is none.',
    ],
    ['-uninstall', 'Take it out of the stores; its files stay.'],
    ['-CAROOT', 'Print the directory of the authority.'],
    ['-cert-file FILE', 'Where the certificate goes.'],
    ['-key-file FILE', 'Where the private key goes.'],
    ['-p12-file FILE', 'Where the .p12 file goes.'],
    ['-client', 'Issue a certificate that a client shows to a server.'],
    ['-ecdsa', 'Make a P-256 key instead of RSA.'],
    ['-pkcs12', 'Write a .p12 file with the password changeit instead of the two PEM files.'],
    ['-csr FILE', 'Sign the key of this certification request.'],
    ['-help', 'Print the help.'],
    ['-version', 'Print the version.'],
  ],
  environment: [
    ['CAROOT', 'The directory of the authority.'],
    [
      'TRUST_STORES',
      'Which stores to use: system, java and nss (the browsers), with commas; or none.',
    ],
    ['JAVA_HOME', 'A Java to use beside those that are found.'],
  ],
} as const
