# Asks TLS servers on 127.0.0.1, as Net::HTTP does. The argument is the file of the only trusted
# root. Each line of standard input is a port, a tab and the name that the server should have. Prints
# a line for each: "accepted" or "refused: " and the reason.
require 'openssl'
require 'socket'

context = OpenSSL::SSL::SSLContext.new
context.set_params(ca_file: ARGV[0], cert_store: nil)
STDIN.each_line do |line|
  port, name = line.chomp.split("\t")
  begin
    wire = OpenSSL::SSL::SSLSocket.new(TCPSocket.new('127.0.0.1', port.to_i), context)
    wire.hostname = name unless name =~ /\A[\d.]+\z|:/
    wire.connect
    wire.post_connection_check(name)
    wire.close
    puts 'accepted'
  rescue StandardError => error
    puts "refused: #{error.message.tr("\n", ' ')}"
  end
end
