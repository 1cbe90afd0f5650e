# Asks TLS servers on 127.0.0.1 by IO::Socket::SSL, as LWP and HTTP::Tiny do. The argument is the file
# of the only trusted root. Each line of standard input is a port, a tab and the name that the server
# should have. Prints a line for each: "accepted" or "refused: " and the reason.
use strict;
use warnings;
use IO::Socket::SSL;

while (my $line = <STDIN>) {
    chomp $line;
    my ($port, $name) = split /\t/, $line;
    my $wire = IO::Socket::SSL->new(
        PeerHost            => '127.0.0.1',
        PeerPort            => $port,
        SSL_ca_file         => $ARGV[0],
        SSL_verify_mode     => SSL_VERIFY_PEER,
        SSL_hostname        => $name =~ /^[\d.]+$|:/ ? '' : $name,
        SSL_verifycn_name   => $name,
        SSL_verifycn_scheme => 'http',
    );
    my $reason = $SSL_ERROR // '';
    $reason =~ s/\n/ /g;
    print $wire ? "accepted\n" : "refused: $reason\n";
}
