/** The package's version, which the bundler puts in. */
declare const VERSION: string
