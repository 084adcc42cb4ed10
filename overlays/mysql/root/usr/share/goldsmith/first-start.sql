-- Run once, while the data directory is made: MySQL makes root without a password, and whoever may use the socket would be root.
-- (ALTER USER would ask for the plugin, and the server loads none at that time.)
UPDATE mysql.user SET plugin = 'auth_socket', authentication_string = '' WHERE User = 'root' AND Host = 'localhost';
