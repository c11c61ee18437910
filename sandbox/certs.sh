# shellcheck shell=bash
# Sourced by run: make_certs DIR makes a throwaway certificate authority and
# one certificate for each listener. EC keys, so that it takes a blink.

make_certs() (
    umask 077
    cd "$1" || exit 1
    unset OPENSSL_CONF
    cat >ca.cnf <<'CNF'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = placeholder
[ca]
default_ca = sandbox
[sandbox]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[v3_ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[wronghost]
basicConstraints = critical, CA:false
subjectAltName = DNS:wrong.example
[client]
basicConstraints = critical, CA:false
extendedKeyUsage = clientAuth
CNF
    : >index.txt
    echo 01 >serial
    local name
    for name in ca other middle leaf; do
        openssl ecparam -name prime256v1 -genkey -noout -out $name.key || exit 1
    done
    authority() { # name, its common name
        openssl req -config ca.cnf -new -x509 -days 30 -extensions v3_ca \
            -key "$1.key" -subj "/CN=$2" -out "$1.pem"
    }
    request() { openssl req -config ca.cnf -new -key "$1.key" -subj "/CN=$2" -out "$3.csr"; }
    sign() { # authority, request, extensions, result, start, end
        openssl ca -config ca.cnf -batch -notext -cert "$1.pem" -keyfile "$1.key" -in "$2.csr" \
            -extensions "$3" -out "$4.pem" -startdate "${5:-20200101000000Z}" -enddate "${6:-20991231235959Z}"
    }
    authority ca 'Kapture sandbox CA' &&
    authority other 'Nobody knows this CA' &&
    request leaf localhost leaf &&
    request middle 'Kapture sandbox intermediate' middle &&
    sign ca middle v3_ca middle &&
    sign ca leaf leaf leaf &&
    sign ca leaf leaf expired 20200101000000Z 20200201000000Z &&
    sign ca leaf leaf notyet 20980101000000Z &&
    sign ca leaf wronghost wronghost &&
    sign ca leaf client client &&
    sign other leaf leaf unknownca &&
    sign middle leaf leaf nointermediate &&
    openssl req -config ca.cnf -new -x509 -days 30 -extensions leaf \
        -key leaf.key -subj /CN=localhost -out selfsigned.pem
)
