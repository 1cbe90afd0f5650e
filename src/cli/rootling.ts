const argv = process.argv.slice(2)
// Before anything is loaded: scripts ask for the version just to see whether we are there.
if (argv[0] === '--version' || argv[0] === '-V') process.stdout.write(`${VERSION}\n`)
else void import('./main.ts').then(({ main }) => main(argv))
